# shellcheck shell=sh
# To be sourced. step TEXT COMMAND... says what it does, and shows the command's output only when it
# fails, which ends the script.
step() {
  step_text=$1
  shift
  echo "$step_text"
  step_log=$(mktemp)
  if "$@" >"$step_log" 2>&1 </dev/null; then
    rm -f "$step_log"
  else
    step_status=$?
    cat "$step_log" >&2
    rm -f "$step_log"
    echo "${0##*/}: failed with status $step_status: $*" >&2
    exit "$step_status"
  fi
}
