#!/usr/bin/env bash
# Builds for 64-bit Arm with Debian's cross-compiler and runs what is built under qemu-user, so that the NEON kernels are
# computed with, not only compiled. Packages: scripts/setup.sh --dev.
#   scripts/aarch64.sh
#
# Left out, because emulation is slow: whole networks beyond those of the self-test, training, files and programs;
# nothing there is Arm's alone. Left out, because a program under qemu-user cannot start itself again: the tests of AIKD_ISA
# in a child process; this script sets AIKD_ISA itself instead.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh aarch64 test_kernels test_tensor test_nn aikd-score
build=build/aarch64
emulated() { qemu-aarch64 "$@"; }
# Every instruction set is forced in turn by the tests themselves: these two must be what they find.
info=$(emulated "$build/bin/aikd-score" --build-info)
grep -F 'Instruction set:  neon (usable here: scalar neon)' <<<"$info" ||
  { echo "aarch64: not on NEON, or not on NEON and scalar code alone:"; echo "$info"; exit 1; } >&2

emulated "$build/tests/test_kernels" --test-case-exclude="isa: AIKD_ISA*"
emulated "$build/tests/test_tensor"
emulated "$build/tests/test_nn"  # of which the preset builds a part
for isa in scalar neon; do
  AIKD_ISA=$isa emulated "$build/bin/aikd-score" --self-test
done
