#!/usr/bin/env bash
# clang-tidy over sources, one per processor at a time. What passed once is remembered by everything the answer depends on
# (the preprocessed text with its comments and macros, the checks, clang-tidy's version) and not analysed again.
#   scripts/tidy.sh BUILD SOURCE...
# The memory is $AIKD_TIDY_CACHE, else aikd-tidy in the user's cache folder; it may be deleted at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
export build="$1" root="$PWD" memory="${AIKD_TIDY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aikd-tidy}"
shift
mkdir -p "$memory"
checks=$({ clang-tidy --version; clang --version; cat .clang-tidy scripts/tidy.sh; } | sha256sum)
export checks

tidy_one() {
  local source="$1" flags text key=
  # The flags of the build, without its compiler and its output. -dD and -C keep macros and comments (NOLINT).
  flags=$(jq -r --arg file "$root/$source" 'first(.[] | select(.file == $file) | .command)' \
    "$build/compile_commands.json" | grep -oE -- ' (-I|-isystem |-D|-std=)[^ ]+' | tr '\n' ' ')
  # Only what could be preprocessed can be remembered.
  if text=$(eval "clang++ $flags -E -dD -C '$source'" 2>/dev/null); then
    key=$(printf '%s' "$checks $source ${text//"$root/"/}" | sha256sum | cut -d' ' -f1)
    [[ ! -e "$memory/$key" ]] || return 0
  fi
  clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p "$build" "$source" 2>/dev/null || return 1
  [[ -z "$key" ]] || touch "$memory/$key"
}
export -f tidy_one
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 bash -c 'tidy_one "$0"'
