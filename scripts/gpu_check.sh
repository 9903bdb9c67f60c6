#!/usr/bin/env bash
# Everything that needs a GPU, in one call within ten minutes: tests, kernels under compute-sanitizer, parity with the CPU,
# ceilings, every kernel and convolution, scoring, PyTorch beside it. Writes one table to bench/results/. See docs/gpu-check.md.
#
#   scripts/gpu_check.sh [OPTIONS] [BUILD]     BUILD: a CUDA build, or what --pack made of one (also --build BUILD; default
#                                              build/cuda, else build/release)
#     --budget S       seconds in all (default 580); each step has its share, what is not reached is left out and said so
#     --steps LIST     of: tests sanitizer parity scoring peers kernels (default: all), separated by commas
#     --python PYTHON  the interpreter with PyTorch (default: $PYTHON or python3)
#     --quick          the steps tests, parity and scoring
#     --table FILE     the table (default bench/results/DATE-gpu-NAME.md)
#     --out DIR        also copies the table and every log there (also --copy-to DIR)
#   scripts/gpu_check.sh --pack DIR [BUILD]    copies the programs and the shared libraries they need to DIR, stripped, to be
#                                              carried to a machine with a GPU
#   scripts/gpu_check.sh --smoke               tries this script's own logic and the table, with invented numbers, anywhere
#
# Needs no network and changes no setting of the card. Exit status: 0; 1 a required step failed or broke a bound; 2 usage, or
# nothing is built; 3 there is no GPU here.
set -uo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"

usage() { sed -n '5,18s/^# \{0,1\}//p' "$0" >&2; }
die() {
  echo "gpu_check: $2" >&2
  exit "$1"
}

budget=580 steps="tests,sanitizer,parity,scoring,peers,kernels" python="${PYTHON:-python3}" table="" copy_to="" build="" mode=check
while [[ $# -gt 0 ]]; do
  case "$1" in
    --budget | --steps | --python | --build | --table | --out | --copy-to | --pack)
      [[ $# -ge 2 ]] || die 2 "$1 needs a value."
      case "$1" in
        --budget) budget="$2" ;;
        --steps) steps="$2" ;;
        --python) python="$2" ;;
        --build) build="$2" ;;
        --table) table="$2" ;;
        --out | --copy-to) copy_to="$2" ;;
        --pack) mode=pack pack_to="$2" ;;
      esac
      shift 2
      ;;
    --smoke) mode=smoke && shift ;;
    --quick) steps="tests,parity,scoring" && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) usage && die 2 "'$1' is no option of this script." ;;
    *)
      [[ -z "$build" ]] || die 2 "one build folder is enough: '$build' and '$1' were given."
      build="$1" && shift
      ;;
  esac
done
[[ "$budget" =~ ^[0-9]+$ ]] || die 2 "--budget takes whole seconds, not '$budget'."
for word in ${steps//,/ }; do
  [[ " tests sanitizer parity scoring peers kernels " == *" $word "* ]] || die 2 "--steps: '$word' is no step."
done
if [[ -z "$build" ]]; then
  build="$root/build/cuda"
  [[ -x "$build/bench/bench_cuda" ]] || build="$root/build/release"
fi

wanted() { [[ ",$steps," == *",$1,"* ]]; }

# ---- steps: each under a time limit, each with a log and a line in steps.tsv (step, result, seconds, remark) ----

deadline=0 required_failed=0
left() { echo $((deadline - SECONDS)); }

record() {  # name, result, seconds, remark
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$logs/steps.tsv"
  echo "gpu_check: $1: $2${4:+ ($4)}${3:+, $3 s}" >&2
}

# step NAME required|optional SECONDS COMMAND...: runs COMMAND with its output in NAME.log. Returns its status.
step() {
  local name="$1" required="$2" seconds="$3" start=$SECONDS status result=ok remark=""
  shift 3
  [[ $(left) -ge "$seconds" ]] || seconds="$(left)"
  if [[ "$seconds" -lt 5 ]]; then
    record "$name" "not run" 0 "no time was left"
    [[ "$required" == optional ]] || required_failed=1
    return 124
  fi
  timeout -k 5 "$seconds" "$@" >"$logs/$name.log" 2>&1
  status=$?
  if [[ $status -eq 124 || $status -eq 137 ]]; then
    result="stopped" remark="not done after $seconds s"
  elif [[ $status -ne 0 ]]; then
    result="**failed**" remark="exit status $status: $(reason "$logs/$name.log")"
  fi
  [[ $status -eq 0 || "$required" == optional ]] || required_failed=1
  record "$name" "$result" $((SECONDS - start)) "$remark"
  return $status
}

# The last line of a log, short and without what a table cell cannot bear.
reason() { grep -v '^[[:space:]]*$' "$1" | tail -n 1 | tr '\t|' '  ' | cut -c 1-160; }

assemble() {  # to the file $1
  mkdir -p "$(dirname "$1")" && "$python" "$root/bench/cuda/gpu_table.py" "$logs" >"$1.part" && mv "$1.part" "$1"
}

# ---- --pack ----

if [[ $mode == pack ]]; then
  [[ -x "$build/bench/bench_cuda" ]] || die 2 "'$build' holds no bench/bench_cuda: build it first (cmake --preset cuda)."
  mkdir -p "$pack_to"/{bin,bench,tests,lib} || die 2 "'$pack_to' cannot be made."
  for file in bin/aikd-score bin/aikd-convert bin/aikd-synth bin/aikd-bench bench/bench_cuda bench/bench_cuda_handwritten \
    tests/test_gpu; do
    if [[ ! -x "$build/$file" ]]; then
      echo "gpu_check: $file is not built: left out" >&2
      continue
    fi
    strip -o "$pack_to/$file" "$build/$file" || die 2 "$file cannot be stripped."
    # What every machine has stays behind: glibc and the compiler's runtime.
    while read -r library; do
      cp -L "$library" "$pack_to/lib/" || die 2 "$library cannot be copied."
    done < <(ldd "$build/$file" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
      grep -Ev '/(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+)\.so')
  done
  du -sh "$pack_to" | awk '{ print "gpu_check: packed " $1 " into " $2 }' >&2
  exit 0
fi

# ---- --smoke ----

smoke() {
  local work status
  work="$(mktemp -d)" || return 1
  logs="$work/logs" deadline=$((SECONDS + 60))
  "$python" "$root/bench/cuda/gpu_table.py" --synthesise "$logs" || return 1
  step passes required 10 true || return 1
  step fails optional 10 sh -c 'echo "the reason | of it"; exit 7' && return 1
  [[ $required_failed -eq 0 ]] || return 1
  step hangs required 5 sleep 30
  status=$?
  [[ $status -eq 124 && $required_failed -eq 1 ]] || return 1
  deadline=$SECONDS
  step "comes too late" optional 10 true && return 1
  printf 'date=1970-01-01\ndriver=0.0\n' >"$logs/environment.txt"
  assemble "$work/table.md" || return 1
  for line in '^# Invented GPU, 1970-01-01' '^| passes | ok |' '^| fails | \*\*failed\*\* | 0 | exit status 7: the reason' \
    '^| hangs | stopped |' '^| comes too late | not run |' '^## Parity' '^## Scoring' '^## Convolutions' '^## Memory-bound' \
    'not ahead at \[256\]' 'slow (fp16 1x1, 70 %)' 'bounds broken in bf16' 'INVENTED NUMBERS'; do
    grep -q -- "$line" "$work/table.md" || { echo "gpu_check: the table lacks '$line'" >&2 && return 1; }
  done
  echo "gpu_check: smoke: fine; a table of invented numbers lies in $work/table.md" >&2
}
if [[ $mode == smoke ]]; then
  smoke || die 1 "smoke: this script or the table is broken."
  exit 0
fi

# ---- is there a GPU, and are there programs? ----

bench="$build/bench/bench_cuda"
if [[ ! -x "$bench" ]]; then
  nvidia-smi -L >/dev/null 2>&1 || die 3 "there is no GPU here (nvidia-smi shows none); nothing was checked."
  die 2 "'$build' holds no bench/bench_cuda: build it first (cmake --preset cuda && cmake --build --preset cuda)."
fi
logs="$(mktemp -d)" || die 2 "no temporary folder can be made."
work="$(mktemp -d)" || die 2 "no temporary folder can be made."
trap 'rm -rf "$work"' EXIT
deadline=$((SECONDS + budget))

# cuDNN and cuBLAS as Python's wheels bring them; the folder lib/ of what --pack made. Python itself is left alone: our
# libraries are not for it.
wheels="$("$python" - <<'PYTHON' 2>/dev/null
import glob, os, site, sys, sysconfig
roots = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["purelib"], *sys.path]
found = [d for r in roots for d in sorted(glob.glob(os.path.join(r, "nvidia", "*", "lib")))]
print(":".join(dict.fromkeys(found)))
PYTHON
)"
library_path="$build/lib${wheels:+:$wheels}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export AIKD_CUDA_LIBRARIES="${AIKD_CUDA_LIBRARIES:-}${AIKD_CUDA_LIBRARIES:+${wheels:+:}}$wheels"
ours=(env "LD_LIBRARY_PATH=$library_path")

"${ours[@]}" "$bench" ceilings --trial >"$logs/first.log" 2>&1
case $? in
  0) ;;
  3) die 3 "there is no GPU that our programs can use; nothing was checked: $(reason "$logs/first.log")" ;;
  *) die 2 "$bench does not run here: $(reason "$logs/first.log")" ;;
esac

# ---- the check ----

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }
name="$(query name)"
slug="$(tr '[:upper:] ' '[:lower:]-' <<<"${name:-unknown}" | tr -cd 'a-z0-9-')"
{
  echo "date=$(date +%F)"
  echo "gpu=$name"
  echo "driver=$(query driver_version)"
  echo "clocks=as found, SM $(query clocks.sm) (most $(query clocks.max.sm)), memory $(query clocks.mem), power limit" \
    "$(query power.limit), MIG $(query mig.mode.current)"
  echo "host=$(nproc) processors, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)"
  echo "commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)"
} >"$logs/environment.txt"
nvidia-smi >"$logs/nvidia-smi.log" 2>&1

# The model and the faces: everything but the kernels wants them.
faces="$work/faces" model="$work/iresnet100.safetensors"
make_model() {
  local bin="$build/bin"
  "$bin/aikd-synth" --out "$faces" --identities 16 --per-identity 4 --seed 1 --degrade random --aligned --size 112x112 -q &&
    "$bin/aikd-convert" init "$model" --architecture iresnet100 --head mlp --seed 1 --calibrate "$faces" --force -q
}
export -f make_model
export build faces model
step model required 60 "${ours[@]}" bash -c make_model
have_model=$?

# The program a user runs: the same scores from both devices, in the order of the inputs.
check_cli() {
  local bin="$build/bin" device
  for device in cpu cuda; do
    "$bin/aikd-score" -m "$model" --device "$device" "$faces" -o "$faces.$device.csv" || return
  done
  "$1" - "$faces.cpu.csv" "$faces.cuda.csv" <<'PYTHON'
import csv, statistics, sys
cpu, gpu = ([(row["path"], float(row["score"])) for row in csv.DictReader(open(p))] for p in sys.argv[1:])
assert len(cpu) > 2 and [p for p, _ in cpu] == [p for p, _ in gpu], "the rows differ"
deviation = statistics.pstdev(s for _, s in cpu)
worst = max(abs(a - b) / max(abs(a), deviation) for (_, a), (_, b) in zip(cpu, gpu))
print(f"{len(cpu)} scores, largest relative difference {worst:.1e}")
sys.exit(not worst <= 1e-5)
PYTHON
}
export -f check_cli

# Tests and the three tools at once: nothing is timed meanwhile.
test_gpu="$build/tests/test_gpu"
sanitizer="$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)"
run_tests() { step test_gpu required 120 "${ours[@]}" AIKD_REQUIRE_GPU=1 "$test_gpu"; }
run_tool() {  # the kernels' tests alone: not whole plans, nor the libraries
  local tool="$1" status
  step "$tool" optional 120 "${ours[@]}" AIKD_REQUIRE_GPU=1 "$sanitizer" --tool "$tool" --error-exitcode 99 "$test_gpu" \
    "--source-file=*tests/cuda/test_*" "--source-file-exclude=*test_cuda_plan*,*test_runtime*,*test_device_tensors*,*/gpu/*"
  status=$?
  # Errors that the tool found, or tests that failed under it; a tool that cannot work here is none of our doing.
  [[ $status -eq 0 || $status -eq 124 || $status -eq 137 ]] && return 0
  grep -qi 'device not supported\|unable to\|insufficient permissions' "$logs/$tool.log" && return 0
  return 1
}
background=()
if [[ ! -x "$test_gpu" ]]; then
  if wanted tests; then record test_gpu "**failed**" 0 "$test_gpu is not there" && required_failed=1; fi
else
  wanted tests && { run_tests & background+=($!); }
  if wanted sanitizer; then
    if [[ -x "$sanitizer" ]]; then
      for tool in memcheck racecheck initcheck; do run_tool "$tool" & background+=($!); done
    else
      record sanitizer skipped 0 "compute-sanitizer is not installed here"
    fi
  fi
fi
for process in ${background[@]+"${background[@]}"}; do wait "$process" || required_failed=1; done

if [[ $have_model -eq 0 ]] && wanted parity; then
  [[ ! -x "$build/bin/aikd-score" ]] || step aikd-score required 40 "${ours[@]}" bash -c "check_cli '$python'"
  step parity required 60 "${ours[@]}" "$bench" parity -m "$model" --images "$faces" --json "$logs/parity.jsonl"
  [[ ! -x "${bench}_handwritten" ]] || step parity_handwritten required 60 "${ours[@]}" "${bench}_handwritten" parity \
    -m "$model" --images "$faces" --json "$logs/parity_handwritten.jsonl"
fi
if [[ $have_model -eq 0 ]] && wanted scoring; then
  step scoring required 125 "${ours[@]}" "$bench" scoring -m "$model" --budget-s 100 --json "$logs/scoring.jsonl"
  [[ ! -x "${bench}_handwritten" ]] || step handwritten_scoring optional 30 "${ours[@]}" "${bench}_handwritten" scoring \
    -m "$model" --budget-s 15 --batches 256 1 --precisions fp16 fp32 --json "$logs/handwritten_scoring.jsonl"
fi
if wanted peers; then
  # Leaves the kernels a minute and a half, if they come after.
  share=$(($(left) - 20 - $(wanted kernels && echo 90 || echo 0)))
  [[ $share -le 180 ]] || share=180
  if ! "$python" -c 'import torch' 2>/dev/null; then
    record peers skipped 0 "$python has no PyTorch"
  elif [[ $share -lt 30 ]]; then
    record peers "not run" 0 "no time was left"
  else
    step peers optional $((share + 15)) "$python" "$root/bench/peers/gpu_peers.py" --budget-s "$share" \
      --json "$logs/peers.jsonl"
  fi
fi
if wanted kernels; then
  share=$(($(left) - 25))
  [[ $share -le 130 ]] || share=130
  [[ $share -ge 5 ]] || share=5
  step kernels required $((share + 15)) "${ours[@]}" "$bench" kernels --budget-s "$share" --json "$logs/kernels.jsonl"
fi
# With the time that is left: engines chosen by timing.
if [[ $have_model -eq 0 ]] && wanted scoring && [[ $(left) -ge 40 ]]; then
  step scoring_autotuned optional "$(($(left) - 5))" "${ours[@]}" "$bench" scoring -m "$model" --autotune --precisions fp16 \
    --batches 256 1 --budget-s "$(($(left) - 30))" --json "$logs/scoring_autotuned.jsonl"
fi

# ---- the table ----

table="${table:-$root/bench/results/$(date +%F)-gpu-$slug.md}"
assemble "$table" || die 1 "the table could not be made; the logs are in $logs."
if [[ -n "$copy_to" ]]; then
  { mkdir -p "$copy_to" && cp "$table" "$copy_to/" && tar -czf "$copy_to/gpu-check-logs.tar.gz" -C "$logs" .; } ||
    die 1 "the table and the logs could not be copied to '$copy_to'."
fi
cat "$table"
echo "gpu_check: table: $table; logs: $logs" >&2
[[ $required_failed -eq 0 ]] || die 1 "a required step failed or broke a bound: see the table's steps."
