#!/usr/bin/env python3
"""iResNet-100 with its head in PyTorch on one GPU: scoring and the training step, for scripts/gpu_check.sh.

    bench/peers/gpu_peers.py [--batches 256,1,...] [--budget-s 150] [--json FILE] [--device cuda]

Scoring: eager fp32 (TF32 off), eager TF32, eager channels-last under autocast (fp16, bf16), and torch.compile of the last
(CUDA graphs by mode "reduce-overhead" or "max-autotune"). Input is normalised float on the device: the copy from the host
and the normalisation, which our rate includes, are left out in PyTorch's favour. Training: frozen teacher in eval(), student in
train(), mean(1 - cos) + L1, clip 5, SGD, channels-last autocast bf16; all tensors, or the last 100 of the backbone.

One JSON line per measurement, written as soon as it is known. A way that fails is a line that says why. Installs nothing.
"""
import argparse
import json
import pathlib
import statistics
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "nets"))
import networks  # noqa: E402


class Scored(torch.nn.Module):
    def __init__(self, architecture):
        super().__init__()
        self.backbone = networks.IResNet(architecture)
        self.l1 = torch.nn.Linear(512, 1024)
        self.l2 = torch.nn.Linear(1024, 1)

    def forward(self, x):
        e = self.backbone(x)
        return e, self.l2(torch.nn.functional.gelu(self.l1(e)))


def seeded(architecture, device):
    """Random weights with BatchNorm statistics of random images, so that activations keep their scale."""
    torch.manual_seed(0)
    model = Scored(architecture).to(device)
    for m in model.modules():
        if isinstance(m, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(m.weight)
        if isinstance(m, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            m.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, 112, 112, device=device))
    for m in model.modules():
        if isinstance(m, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            m.momentum = 0.1
    return model.eval()


class Clock:
    """Milliseconds of calls on the device: events there, the wall clock on a CPU."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def median(self, call, seconds, least=5):
        for _ in range(3):
            call()
        times, start = [], time.monotonic()
        while len(times) < least or (time.monotonic() - start < seconds and len(times) < 1000):
            if self.cuda:
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                begin.record()
                call()
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end))
            else:
                begin = time.perf_counter()
                call()
                times.append((time.perf_counter() - begin) * 1e3)
        return statistics.median(times)


class Peers:
    def __init__(self, args):
        self.args, self.device = args, torch.device(args.device)
        self.clock, self.start = Clock(self.device), time.monotonic()
        self.out = open(args.json, "w") if args.json else None
        self.model = seeded(args.architecture, self.device)

    def left(self):
        return self.args.budget_s - (time.monotonic() - self.start)

    def write(self, **row):
        line = json.dumps(row)
        print(line, flush=True)
        if self.out:
            self.out.write(line + "\n")
            self.out.flush()

    def attempt(self, kind, way, body, **facts):
        if self.left() <= 0:
            return self.write(kind=kind, way=way, failed="not reached within the time given", **facts)
        try:
            body()
        except Exception as error:  # noqa: BLE001: whatever PyTorch throws is the finding
            self.write(kind=kind, way=way, failed=f"{type(error).__name__}: {str(error).splitlines()[0][:300]}", **facts)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def score(self, way, precision, forward, channels_last):
        for batch in self.args.batches:
            def body(batch=batch):
                x = torch.randn(batch, 3, 112, 112, device=self.device)
                if channels_last:
                    x = x.contiguous(memory_format=torch.channels_last)
                dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)

                def call():
                    with torch.inference_mode(), torch.autocast(self.device.type, dtype=dtype or torch.bfloat16,
                                                                enabled=dtype is not None):
                        forward(x)
                begin = time.monotonic()
                call()
                first = time.monotonic() - begin
                ms = self.clock.median(call, 0.4)
                self.write(kind="peer_scoring", way=way, precision=precision, batch=batch, ms=ms,
                           images_per_s=batch / ms * 1e3, first_s=first)
            self.attempt("peer_scoring", way, body, precision=precision, batch=batch)

    def scoring(self):
        def tf32(on):
            torch.backends.cuda.matmul.allow_tf32 = on
            torch.backends.cudnn.allow_tf32 = on
        torch.backends.cudnn.benchmark = True
        plain, last = self.model, seeded(self.args.architecture, self.device).to(memory_format=torch.channels_last)
        tf32(True)
        for precision in ("fp16", "bf16"):
            self.score("eager, channels-last autocast", precision, last, True)
        mode = self.args.compile_mode
        for precision in ("fp16", "bf16"):
            torch._dynamo.reset()
            compiled = torch.compile(last, mode=mode, dynamic=False)
            self.score(f"torch.compile {mode}, channels-last autocast", precision, compiled, True)
        self.score("eager", "tf32", plain, False)
        tf32(False)
        self.score("eager", "fp32", plain, False)

    def training(self):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        for limit in (100, 0):
            for batch in self.args.training_batches:
                def body(batch=batch, limit=limit):
                    teacher = seeded(self.args.architecture, self.device).to(memory_format=torch.channels_last)
                    student = seeded(self.args.architecture, self.device).to(memory_format=torch.channels_last)
                    student.train()
                    teacher.requires_grad_(False)
                    tensors = list(student.backbone.parameters())
                    if limit:
                        for p in tensors[:-limit]:
                            p.requires_grad_(False)
                    trained = [p for p in student.parameters() if p.requires_grad]
                    optimiser = torch.optim.SGD(trained, lr=1e-3, momentum=0.9)
                    x = torch.randn(batch, 3, 112, 112, device=self.device).contiguous(
                        memory_format=torch.channels_last)
                    label = torch.rand(batch, device=self.device)

                    def step():
                        with torch.autocast(self.device.type, dtype=torch.bfloat16):
                            with torch.no_grad():
                                wanted = teacher.backbone(x)
                            e, q = student(x)
                            cos = torch.nn.functional.cosine_similarity(wanted.float(), e.float())
                            loss = (1 - cos).mean() + (q.float().squeeze(1) - label).abs().mean()
                        optimiser.zero_grad(set_to_none=True)
                        loss.backward()
                        torch.nn.utils.clip_grad_norm_(trained, 5)
                        optimiser.step()
                    ms = self.clock.median(step, 1.0)
                    memory = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0
                    self.write(kind="peer_training", way="eager, channels-last autocast bf16", batch=batch,
                               limit=limit, ms=ms, images_per_s=batch / ms * 1e3, bytes=memory)
                self.attempt("peer_training", "eager, channels-last autocast bf16", body, batch=batch, limit=limit)


def numbers(text):
    return [int(n) for n in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=numbers, default=[256, 1, 128, 1024, 8, 32, 512, 64, 16, 2, 4])
    parser.add_argument("--training-batches", type=numbers, default=[64, 128])
    parser.add_argument("--architecture", default="iresnet100")
    parser.add_argument("--compile-mode", default="reduce-overhead")
    parser.add_argument("--budget-s", type=float, default=150)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu_peers: PyTorch sees no CUDA device.", file=sys.stderr)
        return 3
    peers = Peers(args)
    peers.write(kind="peer", torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version() if args.device == "cuda" else None,
                device=torch.cuda.get_device_name() if args.device == "cuda" else "cpu")
    peers.scoring()
    peers.training()
    return 0


if __name__ == "__main__":
    sys.exit(main())
