#!/bin/sh
# Static analysis of src/ and programs/ by clang-tidy 14 and cppcheck; fails if either finds
# something. FOLDER has a compile_commands.json.
#
# Usage: check-static.sh [FOLDER]   (default: build/release)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
if [ ! -f "$build/compile_commands.json" ]; then
  echo "check-static.sh: $build is not configured: cmake --preset release" >&2
  exit 1
fi

status=0
for tool in clang-tidy-14 cppcheck; do
  if ! command -v $tool >/dev/null; then
    echo "check-static.sh: $tool is missing: apt install $tool" >&2
    exit 1
  fi
done
find src programs -name '*.c' -print0 |
  xargs -0 -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet 2>/dev/null || status=1
# clang-tidy looks at style. Of what cppcheck suspects to be uninitialized, it misses that functions
# fill arrays.
cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 -j "$(nproc)" \
  --suppress=uninitvar:src/nn/kernels/* -D__x86_64__ -D__GNUC__=12 -D'MKD_VERSION="0"' \
  -Isrc -Iinclude src programs || status=1
exit $status
