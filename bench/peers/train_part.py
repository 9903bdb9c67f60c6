#!/usr/bin/env python3
"""The part of iResNet-100 that `limit: 100` trains (layer3.23-29, layer4, bn2, fc, features): forward in training
mode and backward, batch 8, ours (bench_train) beside PyTorch, in one run.

    bench/peers/train_part.py --bench build/release/bench/bench_train [--rounds 5] [--threads 1 2] [--out NAME.md]

Every round runs both, one after the other; minima are reported, in wall time and in processor time (the sum over
threads: what is left when others use the machine too). Needs PyTorch."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "nets"))
import networks  # noqa: E402

BATCH = 8
GFLOP = 6 * (13 * 256 * 256 * 9 * 196 + 256 * 256 * 9 * 196 + 256 * 512 * 9 * 196 + 5 * 512 * 512 * 9 * 49
             + 256 * 512 * 49 + 25088 * 512) / 1e9  # per image, both passes


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = [networks.IBlock(256, 256, 1, 1e-5) for _ in range(7)]
        blocks += [networks.IBlock(256, 512, 2, 1e-5)] + [networks.IBlock(512, 512, 1, 1e-5) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(25088, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x):
        return self.features(self.fc(torch.flatten(self.bn2(self.blocks(x)), 1)))


def times(call):
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - wall) * 1e3 / BATCH, (time.process_time() - processor) * 1e3 / BATCH


def ours(bench, threads, repetitions):
    done = subprocess.run([bench, f"--benchmark_filter=^trained_part/threads:{threads}/", "--benchmark_format=json",
                           f"--benchmark_repetitions={repetitions}"], check=True, capture_output=True, text=True)
    rows = [b for b in json.loads(done.stdout)["benchmarks"] if b["run_type"] == "iteration"]
    return min(b["ms/image"] for b in rows), min(b["cpu_time"] / BATCH for b in rows)


def peak(bench):
    done = subprocess.run([bench, "--benchmark_filter=^peak$", "--benchmark_format=json"], check=True,
                          capture_output=True, text=True)
    row = json.loads(done.stdout)["benchmarks"][0]
    return row["FLOP/s"] / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()

    torch.manual_seed(0)
    x, dy = torch.randn(BATCH, 256, 14, 14), torch.randn(BATCH, 512)
    variants = {"PyTorch": (Part().train(), x),
                "PyTorch, channels-last": (Part().train().to(memory_format=torch.channels_last),
                                           x.to(memory_format=torch.channels_last))}
    best = peak(args.bench)
    lines = [f"* PyTorch {torch.__version__}, fp32; batch {BATCH}; minima of {args.rounds} rounds, ms per image",
             f"* {GFLOP:.2f} GFLOP per image; peak of one core {best:.1f} GFLOP/s", "",
             "| threads | | wall | processor | of peak (processor time) |", "|---|---|---|---|---|"]
    for threads in args.threads:
        torch.set_num_threads(threads)
        results = {name: [] for name in ["ours", *variants]}
        for _ in range(args.rounds):
            results["ours"].append(ours(args.bench, threads, 2))
            for name, (net, images) in variants.items():
                def step():
                    net.zero_grad(set_to_none=True)
                    net(images).backward(dy)
                step()
                results[name] += [times(step), times(step)]
        for name, rows in results.items():
            wall, processor = (min(column) for column in zip(*rows))
            lines.append(f"| {threads} | {name} | {wall:.1f} | {processor:.1f} | {GFLOP / processor * 1e5 / best:.0f} % |")
    text = "\n".join(lines) + "\n"
    if args.out:
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
