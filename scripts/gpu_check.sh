#!/usr/bin/env bash
# Everything a card can tell, in one call of at most ten minutes: tests, compute-sanitizer, parity with the CPU, ceilings, kernels,
# scoring, PyTorch beside us. Prints one table and writes it under bench/results/. The programs may have been built elsewhere;
# nothing is installed and no setting of the card is changed.
#
#   scripts/gpu_check.sh [--build DIR] [--out DIR] [--quick]
#   --build DIR   a build with CUDA (default: build/cuda, else build/release)
#   --out DIR     also copy the table and all logs there
#   --quick       tests, parity, ceilings and scoring only
#
# Exit status: 0 all required steps passed (tests, parity, scoring); 1 one of them failed; 2 usage; 3 no card.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

build="" out="" quick=0
while [[ $# -gt 0 ]]; do
  case "$1" in
    --build) build="${2:?--build needs a folder}" && shift 2 ;;
    --out) out="${2:?--out needs a folder}" && shift 2 ;;
    --quick) quick=1 && shift ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
  esac
done
if [[ -z "$build" ]]; then
  build=build/cuda
  [[ -x "$build/bench/bench_cuda" ]] || build=build/release
fi
bench="$build/bench/bench_cuda"
if [[ ! -x "$bench" || ! -x "$build/tests/test_gpu" ]]; then
  echo "gpu_check: $build holds no build with CUDA; make one: scripts/build.sh cuda" >&2
  exit 2
fi

# cuDNN and cuBLASLt where Python's packages have put them; the programs look there too, PyTorch brings its own.
if command -v python3 >/dev/null; then
  libraries=$(python3 - <<'PY'
import glob, os, site, sys
folders = site.getsitepackages() + [site.getusersitepackages()] + sys.path
found = [d for f in dict.fromkeys(folders) if f for d in sorted(glob.glob(os.path.join(f, "nvidia", "*", "lib")))]
print(":".join(dict.fromkeys(found)))
PY
  )
  [[ -z "$libraries" ]] || export AIKD_CUDA_LIBRARIES="${AIKD_CUDA_LIBRARIES:+$AIKD_CUDA_LIBRARIES:}$libraries"
fi

devices=$("$build/bin/aikd-score" --list-devices) || { echo "gpu_check: $build/bin/aikd-score does not start here." >&2; exit 1; }
if ! grep -q '^cuda:' <<<"$devices"; then
  echo "gpu_check: there is no CUDA device here: $("$build/bin/aikd-score" --build-info | sed -n 's/^CUDA devices: *//p')" >&2
  exit 3
fi
name=$(sed -n 's/^cuda:0 *\([^,]*\),.*/\1/p' <<<"$devices" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
started=$SECONDS
verdicts=()

# step NAME SECONDS required|wanted COMMAND...: runs it, at most so long, never beyond the ten minutes; keeps its log.
failed=0
step() {
  local title="$1" limit="$2" need="$3" log code=0 begin=$SECONDS left=$((590 - (SECONDS - started)))
  shift 3
  log="$work/$(tr ' ' '-' <<<"$title").log"
  [[ $left -lt $limit ]] && limit=$left
  if [[ $limit -lt 5 ]]; then
    verdicts+=("| $title | left out: no time | |")
    [[ $need == required ]] && failed=1
    return
  fi
  echo "== $title"
  timeout --kill-after=5 "$limit" "$@" >"$log" 2>&1 || code=$?
  tail -n 25 "$log"
  local verdict="passed"
  [[ $code -eq 0 ]] || verdict="**failed** ($code)"
  [[ $code -ne 124 && $code -ne 137 ]] || verdict="ended at its limit of $limit s"
  if [[ $code -ne 0 && $need == required ]]; then failed=1; fi
  verdicts+=("| $title | $verdict | $((SECONDS - begin)) s |")
}

export AIKD_REQUIRE_GPU=1
step "GPU tests" 120 required "$build/tests/test_gpu" --no-version
model="$work/iresnet100.safetensors"
step "model and faces" 60 required bash -c "
  '$build/bin/aikd-synth' --out '$work/faces' --identities 16 --per-identity 4 --seed 3 --degrade random --aligned --size 112x112 &&
  '$build/bin/aikd-convert' init '$model' --architecture iresnet100 --head mlp --seed 1 --calibrate '$work/faces' --force"
step "parity" 60 required "$bench" --json "$work/parity.jsonl" parity -m "$model" --images "$work/faces"
[[ ! -x "${bench}_handwritten" ]] ||
  step "parity, hand-written" 45 wanted "${bench}_handwritten" --json "$work/parity_handwritten.jsonl" parity -m "$model" --images "$work/faces"
step "ceilings" 30 required "$bench" --json "$work/ceilings.jsonl" ceilings
step "scoring" 80 required "$bench" --json "$work/scoring.jsonl" --budget-s 70 scoring -m "$model"
step "scoring, autotuned" 70 wanted "$bench" --json "$work/scoring_autotuned.jsonl" --budget-s 45 scoring -m "$model" --autotune --precisions fp16 bf16
if [[ $quick -eq 0 ]]; then
  step "kernels" 75 wanted "$bench" --json "$work/kernels.jsonl" --budget-s 65 kernels
  [[ ! -x "${bench}_handwritten" ]] ||
    step "scoring, hand-written" 30 wanted "${bench}_handwritten" --json "$work/scoring_handwritten.jsonl" --budget-s 22 scoring -m "$model" --precisions fp16 fp32
  if command -v python3 >/dev/null && python3 -c 'import torch' 2>/dev/null; then
    step "PyTorch" 130 wanted python3 bench/peers/gpu_peers.py --budget-s 115 --json "$work/peers.jsonl"
  else
    verdicts+=("| PyTorch | left out: python3 has no torch here | |")
  fi
  if command -v compute-sanitizer >/dev/null; then
    # The hand-written kernels; cuDNN's own are not ours to check. Each tool as far as its time goes.
    for tool in memcheck racecheck initcheck; do
      step "compute-sanitizer $tool" 35 wanted compute-sanitizer --tool "$tool" --error-exitcode 9 --kernel-name regex:_kernel \
        "$build/tests/test_gpu" --no-version --source-file='*/cuda/test_*' --test-case-exclude='*plan*,*802*'
    done
  else
    verdicts+=("| compute-sanitizer | left out: it is not installed here | |")
  fi
fi

{
  echo "Date: $(date -u +%F). Commit: $(git rev-parse --short HEAD 2>/dev/null || echo unknown)."
  echo "Device: $(sed -n 's/^cuda:0 *//p' <<<"$devices")."
  "$build/bin/aikd-score" --build-info | sed -n 's/^CUDA versions: */Versions: /p'
  if command -v nvidia-smi >/dev/null; then
    echo "Card as found: $(nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw --format=csv,noheader -i 0) (driver, SM clock, memory clock, degrees, power)."
  fi
  printf '\n| step | result | time |\n|---|---|---|\n'
  printf '%s\n' "${verdicts[@]}"
} >"$work/facts.md"
page="bench/results/$(date -u +%F)-gpu-${name:-card}.md"
if ! command -v python3 >/dev/null || ! python3 bench/cuda/gpu_table.py "$work" --title "GPU check on ${name:-a card}" --facts "$work/facts.md" >"$work/page.md"; then
  { cat "$work/facts.md" && for log in "$work"/*.log; do printf '\n## %s\n```\n' "$(basename "$log")" && tail -n 60 "$log" && echo '```'; done; } >"$work/page.md"
fi
cp "$work/page.md" "$page"
if [[ -n "$out" ]]; then
  mkdir -p "$out"
  cp "$work/page.md" "$out/gpu_check.md"
  tar -C "$work" -czf "$out/gpu_check_logs.tar.gz" --exclude=faces --exclude='*.safetensors' .
fi
cat "$work/page.md"
echo "gpu_check: $page, $((SECONDS - started)) s" >&2
exit "$failed"
