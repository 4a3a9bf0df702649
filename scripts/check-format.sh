#!/bin/sh
# Names the C files that clang-format 14 would change, and fails if there are any; with --fix,
# changes them.
#
# Usage: check-format.sh [--fix]
set -eu
cd "$(dirname "$0")/.."

mode="--dry-run -Werror"
[ "${1:-}" != --fix ] || mode=-i
for format in clang-format-14 clang-format; do
  case $($format --version 2>/dev/null) in
  *" version 14."*) break ;;
  *) format= ;;
  esac
done
if [ -z "$format" ]; then
  echo "check-format.sh: needs clang-format 14, as other versions format otherwise" >&2
  exit 1
fi
# shellcheck disable=SC2086 # options
find include src programs tests bench -name '*.[ch]' -exec "$format" $mode {} +
