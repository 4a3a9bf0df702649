#!/bin/sh
# Builds presets (default: release) and runs all their tests. The last line sums up:
# "N passed, N failed, N skipped".
#
# Usage: test.sh [PRESET...]
set -eu
cd "$(dirname "$0")/.."
. scripts/step.sh

[ $# -gt 0 ] || set -- release
scripts/setup.sh
status=0
for preset; do
  build() {
    cmake --preset "$preset" && cmake --build --preset "$preset"
  }
  step "Building $preset" build
  ctest --preset "$preset" --parallel "$(nproc)" --output-junit tests.xml || status=1
done
for preset; do
  shift
  set -- "$@" "build/$preset/tests.xml"
done
python3 scripts/count-tests.py "$@"
exit $status
