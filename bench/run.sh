#!/bin/sh
# Times mkd against other programs that do the same work; --help tells more. Installs what that
# takes: Debian's oneDNN, and the other programs in a virtual environment, build/bench-venv.
# No network is used once they are there.
#
# Usage: run.sh [--quick] [--only WORK]... [--json FILE]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root/bench" PYTHONDONTWRITEBYTECODE=1

for argument; do
  case $argument in -h | --help) exec python3 -m peers.options --help ;; esac
done
python3 -m peers.options "$@"

# shellcheck source=scripts/step.sh
. "$root/scripts/step.sh"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  as_root apt-get -q update &&
    as_root apt-get -q -y install --no-install-recommends libdnnl-dev ocl-icd-opencl-dev python3-venv
}

create_environment() {
  rm -rf "$venv"
  python3 -m venv "$venv" &&
    "$venv/bin/pip" install --disable-pip-version-check -r "$root/bench/requirements.txt" &&
    cp "$root/bench/requirements.txt" "$venv/installed"
}

build() {
  cmake -S "$root" -B "$root/build/bench" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DMKD_BUILD_BENCH=ON -DMKD_BUILD_TESTS=OFF && ninja -C "$root/build/bench"
}

venv=$root/build/bench-venv
# CMake finds oneDNN only together with the OpenCL headers that Debian just recommends.
if ! [ -f /usr/include/dnnl.h ] || ! [ -f /usr/include/CL/cl.h ] || ! python3 -c 'import ensurepip' 2>/dev/null; then
  step "Installing oneDNN and venv" install_packages
fi
cmp -s "$root/bench/requirements.txt" "$venv/installed" ||
  step "Installing the other programs (some gigabytes)" create_environment
# Without a network, random weights stand for those of the default expert.
"$root/scripts/fetch-expert.sh" "$root/build/expert" >/dev/null 2>&1 || true
step "Building mkd" build

exec "$venv/bin/python" -m peers "$@"
