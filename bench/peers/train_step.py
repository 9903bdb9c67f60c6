#!/usr/bin/env python3
"""A whole training step of iResNet-100 + MLP head on the CPU, ours (bench_train_step) beside PyTorch, in one run: frozen
teacher in eval mode, student of which the last 100 tensors of the backbone and the head are trained, mean(1 - cos) + L1,
clipping over the trained tensors, SGD with momentum; batch 8.

    bench/peers/train_step.py --bench build/release/bench/bench_train_step [--rounds 5] [--threads 1 2] [--out NAME.md]

Peers: PyTorch with the same tensors frozen (the frozen part in eval mode, nothing of it differentiated), in both memory
formats; and the published script's way, which differentiates everything in train mode and only steps the last tensors.
Every round runs all, one after the other; medians and minima of the rounds. Needs PyTorch."""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "nets"))
import networks  # noqa: E402

BATCH, LIMIT = 8, 100


class Step:
    """One PyTorch trainer."""

    def __init__(self, channels_last, as_published):
        torch.manual_seed(0)
        self.teacher = networks.IResNet("iresnet100").eval()
        self.student = networks.IResNet("iresnet100")
        self.student.load_state_dict(self.teacher.state_dict())
        self.head = networks.Mlp()
        self.student.train()
        trained = list(self.student.parameters())[-LIMIT:]
        if not as_published:
            chosen = {id(p) for p in trained}
            for p in self.student.parameters():
                p.requires_grad_(id(p) in chosen)
            for module in self.student.modules():  # a layer of which nothing is trained stays as it is
                own = list(module.parameters(recurse=False))
                if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)) and not any(p.requires_grad for p in own):
                    module.eval()
        trained = [p for p in trained if p.requires_grad]
        self.clipped = (list(self.student.parameters()) if as_published else trained) + list(self.head.parameters())
        self.optimiser = torch.optim.SGD([{"params": self.head.parameters(), "momentum": 0.9, "weight_decay": 5e-4},
                                          {"params": trained, "momentum": 0.9}], lr=1e-4)
        self.x, self.y = torch.randn(BATCH, 3, 112, 112), torch.randn(BATCH, 3, 112, 112)
        self.labels = torch.rand(BATCH)
        if channels_last:
            for net in (self.teacher, self.student):
                net.to(memory_format=torch.channels_last)
            self.x, self.y = (t.contiguous(memory_format=torch.channels_last) for t in (self.x, self.y))

    def run(self):
        with torch.no_grad():
            target = self.teacher(self.x)
        self.optimiser.zero_grad(set_to_none=True)
        embedding = self.student(self.y)
        score = self.head(embedding).squeeze(1)
        loss = (1 - torch.cosine_similarity(target, embedding)).mean() + nn.functional.l1_loss(score, self.labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.clipped, 5)
        self.optimiser.step()


def measure(call):
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return [(time.perf_counter() - wall) / BATCH * 1e3, (time.process_time() - processor) / BATCH * 1e3]


def ours(bench, threads, repetitions):
    done = subprocess.run([bench, f"--benchmark_filter=train_step/threads:{threads}/", "--benchmark_format=json",
                           "--benchmark_min_time=0.01", f"--benchmark_repetitions={repetitions}"],
                          check=True, capture_output=True, text=True)
    rows = [b for b in json.loads(done.stdout)["benchmarks"] if b["run_type"] == "iteration"]
    return [[b["ms/image"], b["cpu_time"] / BATCH] for b in rows], rows[0]["MiB"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    peers = {"PyTorch, same tensors frozen": Step(False, False),
             "PyTorch, same tensors frozen, channels-last": Step(True, False),
             "PyTorch, as the published script": Step(False, True)}
    lines = [f"* PyTorch {torch.__version__}, fp32; batch {BATCH}, the last {LIMIT} tensors trained; ms per image, "
             f"{args.rounds} interleaved rounds of two steps", "",
             "| threads | | median | minimum | processor time, minimum | ours / this, medians | minima |",
             "|---|---|---|---|---|---|---|"]
    memory = 0
    for threads in args.threads:
        torch.set_num_threads(threads)
        results = {name: [] for name in ["ours", *peers]}
        for _ in range(args.rounds):
            rows, memory = ours(args.bench, threads, 2)
            results["ours"] += rows
            for name, step in peers.items():
                if not results[name]:
                    step.run()  # memory is got
                results[name] += [measure(step.run), measure(step.run)]
        median, least = {}, {}
        for name, rows in results.items():
            wall = [row[0] for row in rows]
            median[name], least[name] = statistics.median(wall), min(wall)
        for name, rows in results.items():
            lines.append(f"| {threads} | {name} | {median[name]:.0f} | {least[name]:.0f} | "
                         f"{min(row[1] for row in rows):.0f} | {median['ours'] / median[name]:.2f} | "
                         f"{least['ours'] / least[name]:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines += ["", f"* most memory: ours {memory:.0f} MiB (teacher, student, optimiser, average and activations); "
              f"the PyTorch process with all three trainers {peak:.0f} MiB"]
    text = "\n".join(lines) + "\n"
    if args.out:
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
