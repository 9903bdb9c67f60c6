#!/usr/bin/env bash
# From a bare Debian machine to scores and a report page, without any download of weights or images:
# builds the programs, renders synthetic faces, makes a small model, scores the faces.
#   scripts/demo.sh                          the above
#   scripts/demo.sh MODEL IMAGES [LANDMARKS] your own model (.pth or .safetensors) and images instead
# Results go to out/demo. Run again: what is there already is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh release programs
bin=build/release/bin
out=out/demo
mkdir -p "$out"

if [[ $# -ge 2 ]]; then
  model="$1"
  images="$2"
  if [[ "$model" != *.safetensors ]]; then
    "$bin/aikd-convert" "$model" "$out/converted.safetensors" --force >&2
    model="$out/converted.safetensors"
  fi
  landmarks=("${@:3:1}")
  [[ ${#landmarks[@]} -eq 0 ]] || landmarks=(--landmarks "${landmarks[0]}")
else
  # No trained weights are shipped yet. What stands in for them is honest but small: an iResNet-18 with seeded random
  # weights, and a linear head fitted by ridge regression so that its score follows the known degradation of other
  # synthetic faces (other identities than those scored below).
  model="$out/demo-model.safetensors"
  images="$out/faces"
  if [[ ! -s "$model" ]]; then
    echo "demo: making a demonstration model (seeded backbone, head fitted on synthetic faces) ..." >&2
    rm -rf "$out/fit"
    "$bin/aikd-synth" --out "$out/fit" --identities 60 --per-identity 6 --seed 1 --degrade random --aligned --size 112x112 >&2
    "$bin/aikd-convert" init "$out/backbone.safetensors" --architecture iresnet18 --head none --seed 1 --calibrate "$out/fit" --force >&2
    "$bin/aikd-probe" -m "$out/backbone.safetensors" --images "$out/fit" --labels "$out/fit/labels.csv" \
      --column utility --out "$model.part" >&2
    mv "$model.part" "$model"
  fi
  if [[ ! -s "$images/landmarks.csv" ]]; then
    "$bin/aikd-synth" --out "$images" --identities 8 --per-identity 6 --seed 2 --degrade random >&2
  fi
  landmarks=(--landmarks "$images/landmarks.csv")
fi

"$bin/aikd-score" -m "$model" "${landmarks[@]}" "$images" -o "$out/scores.csv" --report "$out/report"
head -n 11 "$out/scores.csv"
echo "..."
echo "All rows: $out/scores.csv     Report: $out/report/index.html" >&2
