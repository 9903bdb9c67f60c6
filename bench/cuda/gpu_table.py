#!/usr/bin/env python3
"""The table of scripts/gpu_check.sh: Markdown from the JSON lines that its steps left.

    bench/cuda/gpu_table.py FOLDER            prints the table; FOLDER holds *.jsonl, steps.tsv, environment.txt
    bench/cuda/gpu_table.py --synthesise FOLDER   writes such files with invented numbers, to try this script
    bench/cuda/gpu_table.py --self-check      makes a table of invented numbers and looks at it

What a step did not measure is left out or shown as "-"; nothing is filled in. Needs nothing but Python.
"""
import argparse
import json
import pathlib
import sys
import tempfile

PRECISIONS = ["fp16", "bf16", "tf32", "fp32"]
GOAL_MATRIX, LEAST_MATRIX, GOAL_COPY = 0.60, 0.45, 0.80


def load(folder):
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut short when its program was stopped
            row["file"] = path.stem
            rows.append(row)
    return rows


def of_kind(rows, kind, **fields):
    return [r for r in rows if r["kind"] == kind and all(r.get(k) == v for k, v in fields.items())]


def table(head, lines):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + [
        "| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def percent(value):
    return "-" if value is None else f"{100 * value:.0f} %"


def rate(value):
    return "-" if value is None else f"{value:,.0f}"


def ratio(ours, theirs):
    return "-" if not ours or not theirs else f"{ours / theirs:.2f}"


def head(rows, environment):
    runs, peers = of_kind(rows, "run"), of_kind(rows, "peer_run")
    device = runs[0]["device"] if runs else environment.get("gpu", "an unknown GPU")
    lines = [f"# {device}, {environment.get('date', 'date unknown')}", "", "Made by `scripts/gpu_check.sh`.", ""]
    for run in runs[:1]:
        lines.append(f"* sm_{run['sm']}, {run['memory_gib']:.1f} GiB, {run['multiprocessors']} multiprocessors, "
                     f"{run['l2_bytes'] / 2**20:.0f} MiB L2; {run['runtime']}")
        lines.append(f"* {run['libraries']}")
    for key in ("driver", "clocks", "commit", "host"):
        if key in environment:
            lines.append(f"* {key}: {environment[key]}")
    for peer in peers[:1]:
        lines.append(f"* PyTorch {peer['torch']} (CUDA {peer['cuda']}, cuDNN {peer['cudnn']})")
    if not peers:
        lines.append("* PyTorch: not measured")
    return lines + [""]


def steps(folder):
    path = folder / "steps.tsv"
    if not path.exists():
        return []
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return ["## Steps", ""] + table(["step", "result", "seconds", ""], lines)


def ceilings(rows):
    """The best of all runs in this check: bytes/s and flop/s per precision."""
    copy = [r["gbps"] for r in of_kind(rows, "ceiling", what="copy")]
    matrix = {p: max((r["tflops"] for r in of_kind(rows, "ceiling", what="matrix", precision=p)), default=None)
              for p in PRECISIONS}
    lines = []
    if copy:
        lines.append(["copy, read + written", f"{max(copy):,.0f} GB/s", f"{min(copy):,.0f} GB/s"])
    for p, most in matrix.items():
        if most:
            least = min(r["tflops"] for r in of_kind(rows, "ceiling", what="matrix", precision=p))
            lines.append([f"matrix product, {p}", f"{most:,.1f} TFLOP/s", f"{least:,.1f} TFLOP/s"])
    return (["## Ceilings, measured", ""] + table(["", "best", "least of this check"], lines)) if lines else []


def parity(rows):
    found = of_kind(rows, "parity")
    if not found:
        return []
    lines = [[f"CPU, {r['isa']} ({r['faces']} faces)", "fp32", f"{r['embedding_mean']:.1e}", f"{r['embedding_max']:.1e}",
              f"{r['score_max_relative']:.1e}", "-", "-", "-", "-", "-", "fp32's own spread"]
             for r in of_kind(rows, "parity_yardstick")[:1]]
    lines += [[r["convolutions"], r["precision"], f"{r['embedding_mean']:.1e}", f"{r['embedding_max']:.1e}",
              f"{r['score_max_relative']:.1e}", f"{r['score_max_difference']:.1e}", f"{r['score_max_plain_relative']:.1e}",
              f"{r['spearman']:.6f}", "yes" if r["repeats"] else "**no**", f"{r['bound']:.0e}",
              "kept" if r["kept"] else "**broken**"] for r in found]
    return ["## Parity with the CPU in fp32", "",
            f"{found[0]['faces']} synthetic faces, untrained weights. Embedding: relative L2 error. Score: difference over "
            f"max(|score|, standard deviation of the scores, {found[0]['score_deviation']:.2g}).", ""] + table(
        ["convolutions", "precision", "embedding, mean", "max", "score, max", "max difference", "over the score", "Spearman",
         "repeats", "bound", ""], lines)


def best_peer(rows, precision, batch, key, compiled=None):
    found = [r for r in of_kind(rows, "peer", precision=precision, batch=batch)
             if compiled is None or r["variant"].startswith("compile") == compiled]
    return max(found, key=lambda r: r[key], default=None)


def best_ours(rows, precision, batch):
    """The fastest plan with cuDNN: by heuristics or autotuned."""
    found = [r for r in of_kind(rows, "scoring", precision=precision, batch=batch) if "handwritten" not in r["file"]]
    return max(found, key=lambda r: r["images_per_s"], default=None)


def scoring(rows):
    lines = []
    for p in PRECISIONS:
        for batch in sorted({r["batch"] for r in of_kind(rows, "scoring", precision=p)} |
                            {r["batch"] for r in of_kind(rows, "peer", precision=p)}):
            ours = best_ours(rows, p, batch)
            eager, compiled = (best_peer(rows, p, batch, "images_per_s", c) for c in (False, True))
            on_device = best_peer(rows, p, batch, "device_images_per_s")
            best = max((r["images_per_s"] for r in (eager, compiled) if r), default=None)
            one = ours and ours["images_per_s"]
            fastest = ours and max(one, ours.get("stream_images_per_s", 0))
            lines.append([p, batch, rate(one) + ("*" if ours and ours["autotune"] else ""),
                          rate(ours.get("stream_images_per_s")) if ours else "-",
                          percent(ours and ours.get("of_matrix")), percent(ours and ours.get("of_floor")),
                          f"{ours['graph_launches']}+{ours['other_launches']}" if ours else "-",
                          rate(eager and eager["images_per_s"]), rate(compiled and compiled["images_per_s"]),
                          ratio(one, best), rate(on_device and on_device["device_images_per_s"]),
                          ratio(fastest, on_device and on_device["device_images_per_s"])])
    if not lines:
        return []
    text = ["## Scoring iResNet-100, images per second", "",
            "Host to host: from uint8 pixels on the host to scores on the host, one batch at a time; streamed: eight batches "
            "in one call. On the device: PyTorch's fastest way with its input there already, held against the better of our "
            "two. Matrix: 24.18 GFLOP per image over the measured dense matrix rate. Floor: the rate no program exceeds at "
            "the measured ceilings, everything fused. Launches: graphs + others, per batch. `*`: autotuned.", ""]
    floors = {p: next((r["floor_us"] for r in of_kind(rows, "scoring", precision=p) if "floor_us" in r), None)
              for p in PRECISIONS}
    said = [f"{p} {f:.1f} us per image ({1e6 / f:,.0f} images/s)" for p, f in floors.items() if f]
    if said:
        text += ["Floors: " + "; ".join(said) + ".", ""]
    return text + table(["precision", "batch", "ours", "streamed", "of matrix", "of floor", "launches", "PyTorch eager",
                         "torch.compile", "ours / best", "PyTorch on the device", "ours / that"], lines)


def by_hand(rows):
    lines = [[r["precision"], r["batch"], rate(r["images_per_s"]), percent(r.get("of_matrix"))]
             for r in of_kind(rows, "scoring") if "handwritten" in r["file"]]
    return ["### The same without cuDNN: hand-written convolutions", ""] + table(
        ["precision", "batch", "images/s", "of matrix"], lines) if lines else []


def plans(rows):
    lines = [[r["precision"], r["batch"], "yes" if r["autotune"] else "no", r["fused"], r["passes"], r["by_hand"],
              f"{r['compile_s']:.1f}", f"{r['bytes'] / 2**20:,.0f}"] for r in of_kind(rows, "plan")]
    return ["### How the plans run their convolutions", ""] + table(
        ["precision", "largest batch", "autotuned", "cuDNN, fused", "cuDNN + pass", "hand-written", "compiled in s", "MiB"],
        lines) if lines else []


def convolutions(rows):
    network = of_kind(rows, "conv_network")
    lines = []
    if network:
        lines += ["## Convolutions", "", "All 103 of the network, each alone on rotated random data:", ""] + table(
            ["precision", "batch", "", "way", "us per image", "TFLOP/s", "of matrix"],
            [[r["precision"], r["batch"], r["direction"], r["way"], f"{r['us_per_image']:.1f}", f"{r['tflops']:.0f}",
              percent(r.get("of_matrix"))] for r in network])
    each = [r for r in of_kind(rows, "conv") if r["precision"] in ("fp16", "fp32")]
    if not each:
        return lines
    keys = {}
    for r in each:
        keys.setdefault((r["precision"], r["direction"], r["batch"], r["shape"], r["after"]), {})[r["way"]] = r

    def cell(found):
        if found is None:
            return "-"
        if "absent" in found:
            return "no engine"
        return f"{found['us']:.0f} us, {found['tflops']:.0f}, {percent(found.get('of_matrix'))}"

    body = []
    for (p, direction, batch, shape, after), ways in keys.items():
        library = ways.get("cuDNN fused") or ways.get("cuDNN")
        body.append([p, direction, batch, shape, after if direction == "forward" else "", cell(library),
                     cell(ways.get("cuDNN + pass")), cell(ways.get("hand-written"))])
    return lines + ["Each shape in fp16 and fp32 (time, TFLOP/s, fraction of the matrix rate); bf16 and TF32 are in the logs:",
                    ""] + table(["precision", "", "batch", "shape", "then", "cuDNN (fused)", "cuDNN + pass", "hand-written"],
                                body)


def kernels(rows):
    found = of_kind(rows, "kernel")
    if not found:
        return []
    groups = {}
    for r in found:
        groups.setdefault((r["name"], r["storage"]), []).append(r)
    lines = [[name, storage, ", ".join(f"{r['shape']}: {r['us']:.0f} us {percent(r['of_copy'])}" for r in group)]
             for (name, storage), group in groups.items()]
    return ["## Memory-bound kernels", "", "Time, and bytes counted once over the measured copy bandwidth:", ""] + table(
        ["kernel", "storage", "shape: time, fraction of copy"], lines)


def training(rows):
    lines = [[r["backward"], r["variant"], r["batch"], f"{r['ms']:.1f}", rate(r["images_per_s"])]
             for r in of_kind(rows, "peer_training")]
    return ["## One training step in PyTorch", "", "Student train(), teacher eval(), cosine + SmoothL1, clip, SGD; images "
            "per second counts each pair once.", ""] + table(
                ["backward", "", "batch", "ms", "images/s"], lines) if lines else []


def verdicts(rows):
    """Sentences on the goals, from the numbers alone."""
    out = []
    for p in ("fp16", "bf16"):
        large = [r for r in of_kind(rows, "scoring", precision=p) if "of_matrix" in r and "handwritten" not in r["file"]]
        if large:
            r = max(large, key=lambda r: r["of_matrix"])
            word = "reached" if r["of_matrix"] >= GOAL_MATRIX else (
                "not reached" if r["of_matrix"] >= LEAST_MATRIX else "not reached, and below the least that counts as done")
            out.append(f"Scoring in {p} reaches {percent(r['of_matrix'])} of the dense matrix rate (batch {r['batch']}); the "
                       f"goal of {percent(GOAL_MATRIX)} (least {percent(LEAST_MATRIX)}) is {word}.")
    for p in PRECISIONS:
        ahead, behind = [], []
        for batch in sorted({r["batch"] for r in of_kind(rows, "scoring", precision=p)}):
            ours, peer = best_ours(rows, p, batch), best_peer(rows, p, batch, "images_per_s")
            if ours and peer:
                (ahead if ours["images_per_s"] > peer["images_per_s"] else behind).append(batch)
        if ahead or behind:
            out.append(f"{p} against the fastest way of PyTorch, host to host: ahead at batches {ahead or 'none'}, "
                       f"not ahead at {behind or 'none'}.")
    uncompiled = [p for p in ("fp16", "bf16") if of_kind(rows, "scoring", precision=p) and not any(
        r["variant"].startswith("compile") for r in of_kind(rows, "peer", precision=p))]
    if uncompiled:
        out.append(f"torch.compile was not measured in {', '.join(uncompiled)}: nothing is claimed about it there.")
    ours = of_kind(rows, "scoring")
    if ours:
        wrong = sorted({r["batch"] for r in ours if r["graph_launches"] != 1 or r["other_launches"] != 0})
        out.append("Every batch is one launch of a recorded graph." if not wrong else
                   f"Batches {wrong} take more than one launch.")
    found = of_kind(rows, "kernel")
    if found:
        # Kernels of a few microseconds are launches, not bandwidth.
        slow = sorted({f"{r['name']} ({r['storage']} {r['shape']}, {percent(r['of_copy'])})" for r in found
                       if r["of_copy"] < GOAL_COPY and r["us"] >= 20})
        reach = sum(r["of_copy"] >= GOAL_COPY for r in found)
        out.append(f"Of {len(found)} measurements of memory-bound kernels {reach} reach {percent(GOAL_COPY)} of the copy "
                   "bandwidth. Below it though they take 20 us or more: " + (", ".join(slow) if slow else "none") + ".")
    broken = [f"{r['precision']} ({r['convolutions']})" for r in of_kind(rows, "parity") if not r["kept"]]
    if of_kind(rows, "parity"):
        out.append("Parity: every bound is kept." if not broken else f"Parity: bounds broken in {', '.join(broken)}.")
    return ["## What is ahead and what is not", ""] + [f"* {s}" for s in out] + [""] if out else []


def remarks(rows):
    said = [r["text"] for r in of_kind(rows, "note")]
    for r in of_kind(rows, "peer_failure"):
        batch = f", batch {r['batch']}" if "batch" in r else ""
        said.append(f"PyTorch, {r['variant']}{batch}: {r['why'].rstrip('.')}.")
    wrong = [f"{r['variant']} b{r['batch']} ({r['error']:.1e})" for r in of_kind(rows, "peer") if not r["error"] <= 0.1]
    if wrong:
        said.append("PyTorch's embeddings are off by more than 0.1 (relative) in: " + ", ".join(wrong) + ".")
    return ["## Remarks", ""] + [f"* {s}" for s in dict.fromkeys(said)] + [""] if said else []


def make(folder):
    rows = load(folder)
    path = folder / "environment.txt"
    pairs = (line.partition("=") for line in path.read_text().splitlines()) if path.exists() else ()
    environment = {key: value for key, _, value in pairs}
    parts = [head(rows, environment), verdicts(rows), steps(folder), ceilings(rows), parity(rows), scoring(rows),
             by_hand(rows), plans(rows), convolutions(rows), kernels(rows), training(rows), remarks(rows)]
    return "\n".join(line for part in parts for line in part)


def synthesise(folder):
    """Invented numbers in the form of real ones; every file says so."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, rows):
        note = {"kind": "note", "text": "INVENTED NUMBERS: this table only shows that the script works."}
        text = "\n".join(json.dumps(r) for r in [note, *rows])
        (folder / f"{name}.jsonl").write_text(text + '\n{"kind": "cut sh')

    run = {"kind": "run", "device": "Invented GPU", "sm": 90, "memory_gib": 1.0, "multiprocessors": 1, "l2_bytes": 2**20,
           "runtime": "CUDA runtime 0.0", "libraries": "cuDNN 0.0"}
    tops = [{"kind": "ceiling", "what": "copy", "way": "w", "gbps": 1000.0}] + [
        {"kind": "ceiling", "what": "matrix", "precision": p, "tflops": 100.0} for p in PRECISIONS]
    score = [{"kind": "scoring", "precision": p, "autotune": False, "batch": b, "images_per_s": 100.0 * b,
              "of_matrix": 0.5, "of_floor": 0.6, "floor_us": 250.0, "graph_launches": 1, "other_launches": 0,
              **({"stream_images_per_s": 110.0 * b} if b == 256 else {})} for p in PRECISIONS for b in (1, 256)]
    plan = {"kind": "plan", "precision": "fp16", "batch": 256, "autotune": False, "fused": 100, "passes": 2,
            "by_hand": 1, "compile_s": 1.0, "bytes": 2**30}
    write("scoring", [run, *tops, plan, *score])
    write("handwritten_scoring", [run, *tops, score[1]])
    faces = {"kind": "parity", "faces": 9, "embedding_mean": 1e-6, "embedding_max": 2e-6, "score_max_relative": 3e-6,
             "score_max_plain_relative": 1e-5, "score_max_difference": 1e-6, "score_deviation": 0.2, "spearman": 1.0,
             "repeats": True}
    write("parity", [run, {**faces, "convolutions": "cuDNN", "precision": "fp32", "bound": 1e-5, "kept": True},
                     {**faces, "convolutions": "cuDNN", "precision": "bf16", "bound": 1e-7, "kept": False}])
    conv = {"kind": "conv", "shape": "3x3 s1 8->8 @14", "count": 1, "after": "bias", "batch": 128, "precision": "fp16",
            "direction": "forward", "us": 10.0, "tflops": 50.0, "of_matrix": 0.5, "of_floor": 0.5}
    write("kernels", [run, *tops,
                      {"kind": "kernel", "name": "fast", "shape": "1x1", "storage": "fp16", "us": 50.0, "of_copy": 0.9},
                      {"kind": "kernel", "name": "slow", "shape": "1x1", "storage": "fp16", "us": 50.0, "of_copy": 0.7},
                      {**conv, "way": "cuDNN fused"}, {**conv, "way": "hand-written"},
                      {"kind": "conv", "way": "cuDNN + pass", "absent": "why", **{k: conv[k] for k in (
                          "shape", "after", "batch", "precision", "direction")}},
                      {"kind": "conv_network", "batch": 128, "precision": "fp16", "direction": "forward", "way": "best of each",
                       "us_per_image": 40.0, "tflops": 60.0, "of_matrix": 0.6}])
    peer = {"kind": "peer", "precision": "fp16", "batch": 256, "error": 1e-3}
    write("peers", [{"kind": "peer_run", "torch": "0.0", "cuda": "0.0", "cudnn": 0, "device": "d"},
                    {**peer, "variant": "eager AMP fp16", "images_per_s": 9000.0, "device_images_per_s": 9500.0},
                    {**peer, "variant": "compile fp16", "images_per_s": 30000.0, "device_images_per_s": 31000.0},
                    {"kind": "peer_failure", "variant": "max-autotune fp16", "why": "out of time"},
                    {"kind": "peer_training", "variant": "eager AMP fp16", "backward": "full", "batch": 64, "ms": 10.0,
                     "images_per_s": 6400.0}])


def self_check():
    with tempfile.TemporaryDirectory() as name:
        synthesise(pathlib.Path(name))
        text = make(pathlib.Path(name))
    for wanted in ("# Invented GPU", "goal of 60 % (least 45 %) is not reached", "not ahead at [256]",
                   "torch.compile was not measured in bf16", "slow (fp16 1x1, 70 %)", "bounds broken in bf16", "no engine",
                   "PyTorch, max-autotune fp16: out of time.", "| fp16 | 256 | 25,600 | 28,160 | 50 % | 60 % | 1+0 | 9,000 | "
                   "30,000 | 0.85 | 31,000 | 0.91 |"):
        if wanted not in text:
            print(f"gpu_table: the table of invented numbers lacks '{wanted}'.", file=sys.stderr)
            return 1
    print("gpu_table: the table is put together as it should be")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--self-check", action="store_true")
    parser.add_argument("--synthesise", action="store_true", help="write files with invented numbers there instead")
    args = parser.parse_args()
    if args.self_check:
        return self_check()
    if args.folder is None:
        parser.error("a folder is needed")
    if args.synthesise:
        synthesise(args.folder)
    elif not args.folder.is_dir():
        print(f"gpu_table: '{args.folder}' is no folder.", file=sys.stderr)
        return 2
    else:
        print(make(args.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
