#!/usr/bin/env bash
# The built programs under every instruction set there is for this processor: the self-test passes, and a demonstration
# model gives the same scores. Needs what scripts/demo.sh leaves.
#   scripts/instruction_sets.sh
set -euo pipefail
cd "$(dirname "$0")/.."
score=build/release/bin/aikd-score demo=out/demo
# Sums in another order, and multiply-add fused or not: measured differences are 1e-6 of the score. A wrong
# kernel is off by far more.
tolerance=1e-5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$score" --build-info | grep -E '^(Instruction set|Processor has):'
usable=$("$score" --build-info | sed -n 's/^Instruction set:.*(usable here: \(.*\))$/\1/p')
[[ -n "$usable" ]]
find "$demo/faces" -name '*.png' | sort | head -n 8 >"$work/faces"
for isa in scalar neon sse4 avx2 avx512; do
  if [[ " $usable " != *" $isa "* ]]; then
    echo "-- $isa: not on this processor"
    continue
  fi
  AIKD_ISA=$isa "$score" --build-info | grep -q "^Instruction set:  $isa "
  AIKD_ISA=$isa "$score" --self-test >"$work/self-test" || { cat "$work/self-test"; exit 1; }
  AIKD_ISA=$isa "$score" -m "$demo/demo-model.safetensors" --landmarks "$demo/faces/landmarks.csv" --device cpu \
    --list "$work/faces" --quiet --no-time -o "$work/$isa.csv"
  [[ -e "$work/first.csv" ]] || cp "$work/$isa.csv" "$work/first.csv"
  # Every row of both, in order, scored, and within the tolerance (a comparison with NaN fails).
  paste -d, <(cut -d, -f1,2 "$work/first.csv") <(cut -d, -f1,2 "$work/$isa.csv") |
    awk -F, -v isa="$isa" -v tolerance="$tolerance" '
      NR == 1 { next }
      {
        a = $2 + 0; b = $4 + 0; difference = a > b ? a - b : b - a
        size = a < 0 ? -a : a; other = b < 0 ? -b : b; if (other > size) size = other
        if ($1 != $3 || $2 !~ /^-?[0-9]/ || $4 !~ /^-?[0-9]/ || !(size > 0)) { print "-- " isa ": row " NR ": " $0; bad = 1; exit }
        if (difference / size > worst) worst = difference / size
        ++rows
      }
      END {
        if (bad || rows != 8 || !(worst + 0 <= tolerance)) { print "-- " isa ": " rows + 0 " rows, difference " worst; exit 1 }
        printf "-- %s: self-test passed, %d scores, largest relative difference from scalar %.1e (allowed %s)\n", isa, rows, worst, tolerance
      }'
done
