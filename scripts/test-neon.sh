#!/bin/sh
# Builds the kernels and their checker for 64-bit Arm and runs them in QEMU. The last line sums up:
# "N passed, N failed, N skipped". Arguments are options for CMake.
set -eu
cd "$(dirname "$0")/.."
. scripts/step.sh

scripts/setup.sh aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64-static=qemu-user-static \
  /usr/aarch64-linux-gnu/lib/crt1.o=libc6-dev-arm64-cross
build() {
  cmake --preset neon "$@" && cmake --build --preset neon
}
step "Building neon" build "$@"
status=0
ctest --preset neon --output-junit tests.xml || status=1
python3 scripts/count-tests.py build/neon/tests.xml
exit $status
