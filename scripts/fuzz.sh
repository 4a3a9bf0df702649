#!/usr/bin/env bash
# Runs the fuzz targets, with the address and undefined-behaviour sanitizers, two at a time:
#
#   fuzz.sh [SECONDS [TARGET...]]     60 seconds each; all targets
#
# Inputs that have found new code stay in build/fuzz/corpus; one that is a defect is named, and the
# exit status is 1. Needs clang and libclang-rt-14-dev.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: fuzz.sh [SECONDS [TARGET...]]" >&2
  exit 2
fi
shift || true
build=build/fuzz
mkdir -p "$build"
{
  cmake -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
    -DMKD_BUILD_FUZZERS=ON -DMKD_SANITIZE=fuzzer-no-link,address,undefined &&
    cmake --build "$build"
} >"$build/build.log" 2>&1 || {
  cat "$build/build.log" >&2
  exit 1
}
tests/fuzz/make_corpus.py "$build/programs/mkd/mkd" "$build/corpus"
if [ $# -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    set -- "$@" "${name#fuzz_}"
  done
fi

fuzz() { # TARGET
  local regressions=tests/fuzz/regressions/$1 log=$build/$1.log status=0
  [ -d "$regressions" ] || regressions=
  # The last lines of libFuzzer's log tell executions, edges and inputs.
  "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=3000 \
    -malloc_limit_mb=2000 -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/found-$1-" \
    "$build/corpus/$1" ${regressions:+"$regressions"} >"$log" 2>&1 || status=1
  printf '%-8s %10s executions %6s edges %5s inputs  %s\n' "$1" \
    "$(sed -n 's/^stat::number_of_executed_units: //p' "$log" | tail -1)" \
    "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6-)" \
    "$(find "$build/corpus/$1" -type f | wc -l)" \
    "$(((status)) && echo "FAILED: $(ls -t "$build/found-$1-"* 2>/dev/null | head -1), $log")"
  return $status
}
export -f fuzz
export build seconds
printf '%s\n' "$@" | xargs -P 2 -I{} bash -c 'fuzz {}'
