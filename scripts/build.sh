#!/usr/bin/env bash
# Configures and builds a preset (default: release) after installing what is missing. AIKD_CMAKE_ARGS adds CMake options.
#   scripts/build.sh [PRESET] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset="${1:-release}"
shift || true
scripts/setup.sh
read -r -a extra <<<"${AIKD_CMAKE_ARGS:-}"
cmake --preset "$preset" "${extra[@]}" --log-level=WARNING >&2
if [[ $# -gt 0 ]]; then
  cmake --build --preset "$preset" --target "$@" >&2
else
  cmake --build --preset "$preset" >&2
fi
