#!/bin/sh
# Real weights, real faces: converts a PyTorch face recognition model, embeds LFW aligned by its landmarks, and
# prints the official 10-fold verification accuracy. Exit status 1 when it is below the least accuracy asked for.
#
#   scripts/verify_lfw.sh BIN MODEL.pth LFW OUT [LEAST]
#   BIN    folder with aikd-convert, aikd-score, aikd-eval
#   LFW    folder with images/, landmarks.csv and pairs.txt
#   OUT    folder for the converted model, the embeddings and the result
#   LEAST  in per cent, e.g. 97.5
set -eu
if [ $# -lt 4 ] || [ $# -gt 5 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
bin=$1 model=$2 lfw=$3 out=$4 least=${5:-0}
mkdir -p "$out"
"$bin/aikd-convert" "$model" "$out/model.safetensors"
"$bin/aikd-score" -m "$out/model.safetensors" --landmarks "$lfw/landmarks.csv" \
  --embeddings "$out/embeddings.safetensors" -o "$out/scores.csv" "$lfw/images"
"$bin/aikd-eval" verification --embeddings "$out/embeddings.safetensors" --pairs "$lfw/pairs.txt" \
  --json -o "$out/verification.json"
"$bin/aikd-eval" verification --embeddings "$out/embeddings.safetensors" --pairs "$lfw/pairs.txt" |
  tee "$out/verification.txt"
awk -v least="$least" '/-fold accuracy/ { found = 1; if ($3 + 0 < least + 0) exit 1 } END { if (!found) exit 1 }' \
  "$out/verification.txt" || { echo "verify_lfw: below $least %" >&2; exit 1; }
