#!/usr/bin/env bash
# Installs the Debian packages the build needs, if any is missing. Nothing else is fetched, ever.
#   scripts/setup.sh         what building, scoring and testing need
#   scripts/setup.sh --dev   also what CI needs: clang, its tools and sanitizer runtimes, jq; on x86-64 what builds for
#                            64-bit Arm and emulates it (scripts/aarch64.sh)
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config ccache
  libhwy-dev libeigen3-dev libzip-dev libssl-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev
  libjpeg62-turbo-dev libpng-dev libstb-dev doctest-dev)
if [[ "${1:-}" == --dev ]]; then
  packages+=(clang clang-format clang-tidy libclang-rt-14-dev jq)
  # Only packages that may be installed for two architectures at once: libyaml-cpp-dev may not, so the library goes
  # without it (cmake/aarch64-linux-gnu/).
  if [[ "$(dpkg --print-architecture 2>/dev/null)" == amd64 ]]; then
    packages+=(g++-aarch64-linux-gnu qemu-user
      libhwy-dev:arm64 libzip-dev:arm64 libssl-dev:arm64 libyaml-cpp0.7:arm64)
  fi
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian system; install the equivalents of: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  # A name without an architecture means this machine's own: the one for Arm may be there as well, or alone.
  architecture=$(dpkg --print-architecture)
  [[ "$package" != *:* ]] || architecture=${package#*:}
  dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "${package%:*}" 2>/dev/null |
    grep -qxE "($architecture|all) installed" || missing+=("$package")
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
[[ " ${missing[*]} " != *:arm64* ]] || "${as_root[@]}" dpkg --add-architecture arm64
"${as_root[@]}" apt-get update -qq
# Rather fail than take away a package that somebody else on this machine builds with.
"${as_root[@]}" apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >/dev/null
