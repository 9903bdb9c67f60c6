#!/usr/bin/env bash
# Installs the Debian packages the build needs, if any is missing. Nothing else is fetched, ever.
#   scripts/setup.sh         what building, scoring and testing need
#   scripts/setup.sh --dev   also what CI needs: clang, its formatter and sanitizer runtimes
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config ccache
  libhwy-dev libeigen3-dev libzip-dev libssl-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev
  libjpeg62-turbo-dev libpng-dev libstb-dev doctest-dev)
if [[ "${1:-}" == --dev ]]; then
  packages+=(clang clang-format clang-tidy libclang-rt-14-dev)
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian system; install the equivalents of: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  else
    echo "setup: these Debian packages are missing; install them as root, then run this again:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 2
  fi
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
