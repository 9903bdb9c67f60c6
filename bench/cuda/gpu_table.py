#!/usr/bin/env python3
"""The JSON lines of bench_cuda and gpu_peers.py as one Markdown page.

    bench/cuda/gpu_table.py FOLDER --title TEXT --facts FILE     prints the page
    bench/cuda/gpu_table.py --self-check                         builds a page from made-up lines and looks at it

FOLDER holds *.jsonl. What was not measured is said, never filled in. Standard library only.
"""
import argparse
import collections
import json
import pathlib
import sys
import tempfile

FLOOR_US = {"fp16": 31.8, "bf16": 31.8}  # per image at 790 TFLOP/s and 4.3 TB/s, one write per convolution
FLOP_PER_IMAGE = 24.179e9                # iResNet-100


def read(folder):
    lines, broken = [], 0
    for path in sorted(pathlib.Path(folder).glob("*.jsonl")):
        for text in path.read_text(errors="replace").splitlines():
            try:
                row = json.loads(text)
                row["file"] = path.stem
                lines.append(row)
            except json.JSONDecodeError:
                broken += 1  # a program was ended while it wrote
    return lines, broken


def table(head, rows):
    if not rows:
        return "Not measured.\n"
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    return "\n".join(out) + "\n"


def number(value, digits=3):
    return "" if value is None else f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(value):
    return "" if value is None else f"{100 * value:.0f} %"


class Page:
    def __init__(self, lines, broken):
        self.lines, self.broken = lines, broken
        self.copy = max((r["gbps"] for r in self.of("ceiling") if r.get("what") == "copy"), default=None)
        self.matrix = {r["precision"]: r["tflops"] for r in self.of("ceiling") if r.get("what") == "matrix"}

    def of(self, kind):
        return [r for r in self.lines if r.get("kind") == kind]

    def ceilings(self):
        rows = [("copy, " + r["way"], number(r["gbps"]) + " GB/s") for r in self.of("ceiling") if r["what"] == "copy"]
        rows += [(f"matrix product {p}", number(t) + " TFLOP/s") for p, t in self.matrix.items()]
        return table(("ceiling", "measured"), rows)

    def parity(self):
        rows = [(r["convolutions"], r["precision"], r["faces"], number(r["embedding_mean"]), number(r["embedding_max"]),
                 number(r["score_max_relative"]), number(r.get("spearman"), 6), number(r["bound"]),
                 "yes" if r["kept"] else "**NO**") for r in self.of("parity")]
        return table(("convolutions", "precision", "faces", "embedding, mean", "embedding, worst", "score, worst",
                      "Spearman", "bound", "kept"), rows)

    def best_peer(self, precision, batch):
        found = [(r["images_per_s"], r["way"]) for r in self.of("peer_scoring")
                 if r.get("precision") == precision and r.get("batch") == batch and "images_per_s" in r]
        return max(found, default=(None, ""))

    def scoring(self):
        rows, ahead, behind = [], [], []
        for r in sorted(self.of("scoring"), key=lambda r: (r["precision"], r["batch"], r.get("autotune", False), r["file"])):
            rate, (peer, way) = r["images_per_s"], self.best_peer(r["precision"], r["batch"])
            matrix = self.matrix.get(r["precision"])
            fraction = rate * FLOP_PER_IMAGE * 1e-12 / matrix if matrix else None
            floor = FLOOR_US.get(r["precision"])
            rows.append((r["precision"], r["batch"], r["file"] + (", autotuned" if r.get("autotune") else ""), number(rate, 4),
                         percent(fraction), number(floor and rate * floor * 1e-6), r["graph_launches"],
                         number(peer, 4), way, number(rate / peer if peer else None)))
            if peer and "handwritten" not in r["file"]:
                (ahead if rate > peer else behind).append(f"{r['precision']} batch {r['batch']}")
        text = table(("precision", "batch", "ours by", "images/s", "of the matrix ceiling", "of the floor's rate",
                      "graph launches", "best PyTorch", "which", "ours / PyTorch"), rows)
        unique = lambda names: ", ".join(dict.fromkeys(names)) or "none"  # noqa: E731
        return text + f"\nAhead of the best PyTorch: {unique(ahead)}. Behind: {unique(behind)}.\n"

    def kernels(self):
        rows = [(r["name"], r["shape"], r["storage"], number(r["us"]), number(r["gbps"]), percent(r.get("of_copy")))
                for r in self.of("kernel")]
        slow = [f"{r['name']} {r['shape']} {r['storage']}" for r in self.of("kernel") if (r.get("of_copy") or 0) < 0.8]
        text = table(("kernel", "shape", "storage", "us", "GB/s", "of the copy bandwidth"), rows)
        return text + (f"\nBelow 80 %: {', '.join(slow)}.\n" if slow else "")

    def convolutions(self):
        rows = [(r["precision"], r["direction"], r["way"], r["batch"], number(r["us_per_image"]), number(r["tflops"]),
                 percent(r["tflops"] / self.matrix[r["precision"]] if r["precision"] in self.matrix else None))
                for r in self.of("conv_network")]
        return table(("precision", "direction", "way", "batch", "us per image, all layers", "TFLOP/s", "of the ceiling"), rows)

    def training(self):
        rows = [(r["way"], r["limit"] or "all", r["batch"], number(r["ms"]), number(r["images_per_s"], 4),
                 number(r["bytes"] / 2**30)) for r in self.of("peer_training") if "ms" in r]
        return table(("PyTorch", "last tensors trained", "batch", "ms per step", "images/s", "GiB"), rows)

    def failures(self):
        counted = collections.Counter((r["kind"], r.get("way", ""), r["failed"]) for r in self.lines if "failed" in r)
        out = [f"* {kind}, {way}: {why}" + (f" ({n} times)" if n > 1 else "") for (kind, way, why), n in counted.items()]
        out += ["* " + r["text"] for r in self.of("note")]
        if self.broken:
            out.append(f"* {self.broken} lines were cut off.")
        return "\n".join(out) + "\n" if out else "None.\n"

    def text(self, title, facts):
        runs = {r["libraries"]: None for r in self.of("run")}
        peers = [f"PyTorch {r['torch']} (CUDA {r['cuda']}, cuDNN {r['cudnn']}) on {r['device']}" for r in self.of("peer")]
        return f"""# {title}

Made by `scripts/gpu_check.sh`. iResNet-100 with its head, seeded weights; rates are medians, from host bytes to host scores for
ours, from device floats for PyTorch.

{facts}
Libraries: {"; ".join(runs) or "not measured"}. {"; ".join(peers) or "PyTorch was not measured"}.

## Ceilings
{self.ceilings()}
## CPU against GPU, the same faces (relative errors)
{self.parity()}
## Scoring
{self.scoring()}
## Convolutions of the whole network
{self.convolutions()}
## Kernels bound by memory
{self.kernels()}
## Training step
{self.training()}
## What failed or was left out
{self.failures()}"""


def self_check():
    rows = [dict(kind="ceiling", what="copy", way="kernel", gbps=4000), dict(kind="ceiling", what="matrix", precision="fp16", tflops=700),
            dict(kind="scoring", precision="fp16", batch=8, images_per_s=9000.0, graph_launches=1),
            dict(kind="peer_scoring", precision="fp16", batch=8, way="eager", images_per_s=3000.0, ms=1),
            dict(kind="peer_scoring", precision="fp16", batch=16, way="eager", failed="no memory"),
            dict(kind="kernel", name="prelu", shape="64@112", storage="fp16", us=10.0, gbps=3000.0, of_copy=0.75)]
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + '\n{"kind": "cut')
        page = Page(*read(folder)).text("A made-up page", "No card.")
    for wanted in ("| fp16 | 8 | a | 9,000 | 31 % |", "Ahead of the best PyTorch: fp16 batch 8.", "Below 80 %: prelu 64@112 fp16.",
                   "eager: no memory", "1 lines were cut off", "Not measured."):
        assert wanted in page, (wanted, page)
    print("gpu_table: the page is put together as it should be")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--title", default="GPU check")
    parser.add_argument("--facts", default="")
    parser.add_argument("--self-check", action="store_true")
    args = parser.parse_args()
    if args.self_check:
        return self_check()
    facts = pathlib.Path(args.facts).read_text() if args.facts else ""
    print(Page(*read(args.folder)).text(args.title, facts))


if __name__ == "__main__":
    sys.exit(main())
