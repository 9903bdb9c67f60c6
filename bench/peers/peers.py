#!/usr/bin/env python3
"""iResNet-100 with its head: our program beside PyTorch and ONNX Runtime, in one run, on the same weights.

    bench/peers/peers.py --build build/release [--out bench/results/NAME.md] [--rounds 5] [--skip-ort]

Every round times every contestant once for each (batch, threads), one after the other, so that a slow minute of the
machine hits all of them; the table gives medians (minima) over the rounds and the ratio to ours. Each contestant's
embedding is compared with PyTorch's in double precision first: a fast wrong answer is not a contestant.

Needs PyTorch and numpy; ONNX Runtime (and onnx) if it is there. It installs nothing.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "nets"))
import networks  # noqa: E402


class Scored(torch.nn.Module):
    """Backbone and MLP head with the state_dict names of AI-KD."""

    def __init__(self, architecture):
        super().__init__()
        self.feature_extractor = networks.IResNet(architecture)
        self.quality_head = torch.nn.Module()
        self.quality_head.l1 = torch.nn.Linear(512, 1024)
        self.quality_head.l2 = torch.nn.Linear(1024, 1)

    def forward(self, x):
        e = self.feature_extractor(x)
        h = torch.nn.functional.gelu(self.quality_head.l1(e))
        return e, self.quality_head.l2(h)


def seeded_model(architecture):
    """Random weights whose BatchNorm statistics are those of random images, so that activations keep their scale."""
    torch.manual_seed(0)
    model = Scored(architecture)
    for m in model.modules():
        if isinstance(m, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(m.weight)
        if isinstance(m, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            m.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, 112, 112))
    return model.eval()


def milliseconds(call, repetitions):
    start = time.perf_counter()
    for _ in range(repetitions):
        call()
    return (time.perf_counter() - start) * 1e3 / repetitions


def relative(a, b):
    return float(np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b))


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder with bin/aikd-bench")
    parser.add_argument("--architecture", default="iresnet100")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=8, help="images per timed run (at least one batch)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--skip-ort", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    program = args.build / "bin"

    work = tempfile.TemporaryDirectory()
    folder = pathlib.Path(work.name)
    model = seeded_model(args.architecture)
    torch.save(model.state_dict(), folder / "model.pth")
    subprocess.run([program / "aikd-convert", folder / "model.pth", folder / "model.safetensors"], check=True,
                   stdout=subprocess.DEVNULL)

    # One real input for the check of digits: bytes, so that all sides start from the same.
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        expected = model.double()(x.double())[0].numpy()
        model.float()
        errors = {"PyTorch": relative(model(x)[0].numpy(), expected)}

    sessions = {}
    ort_version = None
    if not args.skip_ort:
        try:
            import onnx  # noqa: F401
            import onnxruntime as ort
            ort_version = ort.__version__
            torch.onnx.export(model, (x,), str(folder / "model.onnx"), input_names=["x"], output_names=["e", "q"],
                              dynamic_axes={"x": {0: "n"}, "e": {0: "n"}, "q": {0: "n"}}, dynamo=False)
            for threads in args.threads:
                options = ort.SessionOptions()
                options.intra_op_num_threads = threads
                options.inter_op_num_threads = 1
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                sessions[threads] = ort.InferenceSession(str(folder / "model.onnx"), options,
                                                         providers=["CPUExecutionProvider"])
            errors["ONNX Runtime"] = relative(sessions[args.threads[0]].run(["e"], {"x": x.numpy()})[0], expected)
        except ImportError as error:
            print(f"peers: ONNX Runtime left out: {error}", file=sys.stderr)

    # Ours, through the program a user runs: scores PNG files of those bytes and writes the embeddings.
    try:
        from PIL import Image
        from safetensors.numpy import load_file
        for i in range(2):
            Image.fromarray(pixels[i]).save(folder / f"{i}.png")
        subprocess.run([program / "aikd-score", "-m", folder / "model.safetensors", folder / "0.png", folder / "1.png",
                        "-o", folder / "scores.csv", "--embeddings", folder / "e.safetensors"], check=True,
                       stderr=subprocess.DEVNULL)
        errors["AI-KD C++"] = relative(load_file(folder / "e.safetensors")["embeddings"], expected)
    except ImportError as error:
        print(f"peers: our own digits not compared: {error}", file=sys.stderr)

    def ours(batch, threads):
        out = subprocess.run([program / "aikd-bench", "-m", folder / "model.safetensors", "-b", str(batch), "-t",
                              str(threads), "-r", str(max(1, args.images // batch)), "--warmup", "1", "--json"],
                             check=True, capture_output=True, text=True).stdout
        return statistics.median(json.loads(out)["ms_per_image"])

    def pytorch(batch, threads):
        torch.set_num_threads(threads)
        data = torch.randn(batch, 3, 112, 112)
        with torch.inference_mode():
            model(data)
            return milliseconds(lambda: model(data), max(1, args.images // batch)) / batch

    def onnxruntime(batch, threads):
        data = np.random.rand(batch, 3, 112, 112).astype(np.float32)
        session = sessions[threads]
        session.run(None, {"x": data})
        return milliseconds(lambda: session.run(None, {"x": data}), max(1, args.images // batch)) / batch

    contestants = {"AI-KD C++": ours, "PyTorch": pytorch}
    if sessions:
        contestants["ONNX Runtime"] = onnxruntime
    times = {(name, b, t): [] for name in contestants for b in args.batches for t in args.threads}
    for round_number in range(args.rounds):
        for threads in args.threads:
            for batch in args.batches:
                for name, call in contestants.items():
                    times[name, batch, threads].append(call(batch, threads))
        print(f"peers: round {round_number + 1} of {args.rounds} done", file=sys.stderr)

    # The whole program, decoding included: the slope between two numbers of images leaves the start-up out.
    whole = {}
    try:
        from PIL import Image
        many = folder / "many"
        many.mkdir()
        for i in range(48):
            Image.fromarray(generator.integers(0, 256, (250, 250, 3), dtype=np.uint8)).save(many / f"{i:03}.jpg")
        names = sorted(str(p) for p in many.iterdir())
        for threads in args.threads:
            for batch in args.batches:
                seconds = []
                for count in (16, 48):
                    start = time.perf_counter()
                    subprocess.run([program / "aikd-score", "-m", folder / "model.safetensors", "-b", str(batch), "-t",
                                    str(threads), "-o", folder / "many.csv", *names[:count]], check=True,
                                   stderr=subprocess.DEVNULL)
                    seconds.append(time.perf_counter() - start)
                whole[batch, threads] = 32 / (seconds[1] - seconds[0])
    except ImportError:
        pass

    lines = [f"# {args.architecture} with MLP head on the CPU, {datetime.date.today().isoformat()}", "",
             f"* CPU: {cpu_name()}, {len(os.sched_getaffinity(0))} processors; Linux {platform.release().split('-')[0]}",
             f"* PyTorch {torch.__version__} (eval, eager)" +
             (f", ONNX Runtime {ort_version}" if sessions else ""),
             f"* {args.rounds} interleaved rounds, {args.images} images per timed run; ms per image, median (minimum)",
             "* made by `bench/peers/peers.py`; random weights, random pixels", "",
             "| threads | batch | " + " | ".join(contestants) + " | " +
             " | ".join(f"ours / {n}" for n in contestants if n != "AI-KD C++") + " | aikd-score, images/s |",
             "|" + "---|" * (2 + len(contestants) * 2)]
    for threads in args.threads:
        for batch in args.batches:
            middle = {n: statistics.median(times[n, batch, threads]) for n in contestants}
            cells = [f"{middle[n]:.1f} ({min(times[n, batch, threads]):.1f})" for n in contestants]
            ratios = [f"{middle['AI-KD C++'] / middle[n]:.2f}" for n in contestants if n != "AI-KD C++"]
            rate = f"{whole[batch, threads]:.1f}" if whole else "-"
            lines.append(f"| {threads} | {batch} | " + " | ".join(cells + ratios + [rate]) + " |")
    lines += ["", "Relative error of the embedding against PyTorch in float64: " +
              ", ".join(f"{n} {e:.1e}" for n, e in errors.items()) + "."]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
