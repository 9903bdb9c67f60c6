#!/usr/bin/env bash
# Sets up, builds and runs every test. A test that cannot run on this machine is reported as skipped with its reason.
#   scripts/test.sh [PRESET] [ctest options...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset="${1:-release}"
shift || true
scripts/build.sh "$preset"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
