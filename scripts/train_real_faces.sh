#!/usr/bin/env bash
# AI-KD trained on real faces, and the same without misalignment: does the method do what it is for?
#
#   scripts/train_real_faces.sh DATA OUT [options of aikd-train for both runs]
#
# DATA holds lfw/ and cfp/ (images, landmarks.csv) and models/mobilefacenet_arcface_casia.pth; OUT is made. Teacher and
# start of the student: that MobileFaceNet; labels: aikd-label froq, a long job (0.15 to 0.35 s per image on two cores;
# OUT/labels-*.csv are used again). A tenth of the people is held out. Ends with a table of both runs
# (Markdown) on all images of those people, with 95 % intervals (bootstrap over people). Every step goes on where an
# interrupted one ended.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
data=$1 out=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
bin=${AIKD_BIN:-$here/build/release/bin}
mkdir -p "$out"
teacher=$out/teacher.safetensors
[ -e "$teacher" ] || "$bin/aikd-convert" "$data/models/mobilefacenet_arcface_casia.pth" "$teacher"
for set in lfw cfp; do
  labels=$out/labels-$set.csv
  [ -e "$labels" ] || {
    # Some images have no landmarks: they get no label (exit code 1).
    "$bin/aikd-label" froq -m "$teacher" --landmarks "$data/$set/landmarks.csv" "$data/$set/images" -o "$labels.part" ||
      [ $? -eq 1 ]
    mv "$labels.part" "$labels"
  }
done
for run in misaligned aligned; do
  flag=--misalign
  [ $run = misaligned ] || flag=--no-misalign
  "$bin/aikd-train" --teacher "$teacher" --run "$out/$run" $flag \
    --images "$data/lfw/images" "$data/cfp/images/train" "$data/cfp/images/test" \
    --landmarks "$data/lfw/landmarks.csv" "$data/cfp/landmarks.csv" \
    --labels "$out/labels-lfw.csv" "$out/labels-cfp.csv" \
    --split identity --batch 32 --epochs 3 --validate-every 0.5 --jitter-images 0 "$@"
done
echo
echo "| trained | p, pixels | Spearman of scores, aligned and misaligned | cosine of embeddings | mean change of the score | Spearman with the labels |"
echo "|---|---|---|---|---|---|"
for run in misaligned aligned; do
  awk -F, -v run=$run '$1 == "after" {
    printf "| %s | %s | %.4f (%.4f to %.4f) | %.4f (%.4f to %.4f) | %.4f | %.4f |\n",
      run == "aligned" ? "without misalignment" : "AI-KD", $2, $4, $5, $6, $8, $9, $10, $7, $11 }' "$out/$run/invariance.csv"
done
