#!/bin/sh
# Installs the Debian packages that mkd is built and tested with: those that are missing, as root or
# with sudo. Extra packages may be named as TOOL=PACKAGE or FILE=PACKAGE.
set -eu
cd "$(dirname "$0")/.."

missing=
for pair in cc=gcc c++=g++ cmake=cmake ninja=ninja-build pkg-config=pkg-config python3=python3 "$@"; do
  command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || missing="$missing ${pair#*=}"
done
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
# Libraries are listed where CMake looks for them, as MODULE=PACKAGE.
for pair in $(grep -o '[a-z0-9-]*=[a-z0-9-]*-dev' cmake/dependencies.cmake | sort -u); do
  pkg-config --exists "${pair%%=*}" 2>/dev/null || missing="$missing ${pair#*=}"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup.sh: install what Debian calls$missing; see docs/dependencies.md" >&2
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root="env"
elif command -v sudo >/dev/null; then
  as_root="sudo env"
else
  echo "setup.sh: as root, run: apt-get install$missing" >&2
  exit 1
fi
echo "setup.sh: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # words of these variables are arguments of their own
{
  $as_root apt-get -q update &&
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
} >"$log" 2>&1 </dev/null || {
  cat "$log" >&2
  echo "setup.sh: apt-get failed to install$missing" >&2
  exit 1
}
