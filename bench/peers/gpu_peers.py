#!/usr/bin/env python3
"""iResNet-100 with its MLP head in PyTorch on a GPU: what our plan is held against.

    bench/peers/gpu_peers.py [--batches 256 1 86 ...] [--budget-s 180] [--json FILE]

Prints one JSON object a line. Scoring, for every way of running the network that PyTorch offers:

  eager fp32, eager TF32            as a user gets it, TF32 off and on
  eager AMP fp16, bf16              autocast, channels_last, BatchNorm in eval()
  compile fp16, bf16                torch.compile of the network in 16 bits, channels_last, weights frozen (BatchNorm folded
                                    into the filters), CUDA graphs (mode "reduce-overhead"); then mode "max-autotune"

each at every batch: "device_images_per_s" with the input on the device already (CUDA events), "images_per_s" from uint8
pixels in pinned host memory to scores on the host (wall clock), both from medians; and the relative error of its embeddings
against eager fp32, since a fast wrong answer is no contestant. Training: the step of AI-KD (student train(), teacher eval(),
cosine + SmoothL1, clip, SGD), with the gradient of the last 100 tensors and with all of it.

Every way runs in a process of its own with a share of the budget; what fails or runs out of time says so in a line of its
own ("peer_failure") and the rest goes on. Needs PyTorch and numpy. It installs nothing.
"""
import argparse
import functools
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "nets"))

BATCHES = [256, 1, 86, 128, 1024, 8, 64, 32, 512, 344, 172, 16, 2, 4]
TRAINED = 100  # tensors of the backbone, from the end, that AI-KD trains
# name, share of what is left of the budget when its turn comes
CHILDREN = [("eager", 0.35), ("compile fp16", 0.5), ("training", 0.35), ("max-autotune fp16", 0.75), ("compile bf16", 1.0)]


def emit(**row):
    print(json.dumps(row), flush=True)


# ---- one way, in a process of its own ----

class Bench:
    def __init__(self, args):
        import torch
        import networks
        self.torch, self.networks, self.args = torch, networks, args
        self.device = torch.device(args.device)
        self.cuda = self.device.type == "cuda"
        self.deadline = time.monotonic() + args.budget_s
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True  # PyTorch's own choice of engines by timing
        self.precise(True)

    def time_left(self):
        return time.monotonic() < self.deadline

    def precise(self, full):
        self.torch.backends.cuda.matmul.allow_tf32 = not full
        self.torch.backends.cudnn.allow_tf32 = not full

    def synchronize(self):
        if self.cuda:
            self.torch.cuda.synchronize()

    def model(self):
        """Random weights whose BatchNorm statistics are those of random images: activations keep their scale."""
        torch = self.torch
        torch.manual_seed(0)
        with torch.device(self.device):
            model = self.networks.AiKd(self.networks.make_backbone(self.args.architecture), self.networks.Mlp())
        batch_norms = (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)
        for m in model.modules():
            if isinstance(m, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(m.weight)
            if isinstance(m, batch_norms):
                m.momentum = 1.0
        model.train()
        with torch.no_grad():
            model(torch.randn(32, 3, 112, 112, device=self.device))
        for m in model.modules():
            if isinstance(m, batch_norms):
                m.momentum = 0.1
        return model.eval()

    def pixels(self, batch):
        x = self.torch.randint(0, 256, (batch, 112, 112, 3), dtype=self.torch.uint8)
        return x.pin_memory() if self.cuda else x

    def network_input(self, pixels, dtype, channels_last):
        x = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5).to(dtype)
        return x.contiguous(memory_format=self.torch.channels_last if channels_last else self.torch.contiguous_format)

    def median_ms(self, call, seconds=0.4, least=5, most=500):
        """Of the device's time, by events; on the CPU by the clock."""
        torch, times, start = self.torch, [], time.monotonic()
        while len(times) < least or (time.monotonic() - start < seconds and len(times) < most):
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

    def median_wall_ms(self, call, seconds=0.4, least=5, most=500):
        times, start = [], time.monotonic()
        while len(times) < least or (time.monotonic() - start < seconds and len(times) < most):
            begin = time.perf_counter()
            call()
            times.append((time.perf_counter() - begin) * 1e3)
        return statistics.median(times)

    def scoring(self, variant, precision, batch, call, dtype, channels_last, reference):
        """`call`: network input -> (embeddings, scores)."""
        torch = self.torch
        pixels = self.pixels(batch)
        start = time.monotonic()
        x = self.network_input(pixels, dtype, channels_last)
        for _ in range(3):  # libraries choose engines, compilers compile, graphs are recorded
            e, q = call(x)
        self.synchronize()
        first_s = time.monotonic() - start
        e = e.double().cpu()
        self.precise(True)
        expected = torch.cat([reference(part)[0] for part in self.network_input(pixels, torch.float32, False).split(128)])
        expected = expected.double().cpu()
        self.precise(precision != "tf32")
        error = ((e - expected).norm() / expected.norm()).item()

        def whole():
            return call(self.network_input(pixels, dtype, channels_last))[1].float().cpu()

        device_ms = self.median_ms(lambda: call(x))
        whole()
        ms = self.median_wall_ms(whole)
        emit(kind="peer", variant=variant, precision=precision, batch=batch, ms=ms, images_per_s=batch / ms * 1e3,
             device_ms=device_ms, device_images_per_s=batch / device_ms * 1e3, error=error, first_s=first_s)

    def eager(self):
        torch = self.torch
        reference = self.model()
        last = self.model().to(memory_format=torch.channels_last)

        def amp(dtype, x):
            with torch.autocast(self.device.type, dtype=dtype):
                return last(x)

        ways = [("eager AMP fp16", "fp16", functools.partial(amp, torch.float16), True),
                ("eager AMP bf16", "bf16", functools.partial(amp, torch.bfloat16), True),
                ("eager TF32", "tf32", reference, False), ("eager fp32", "fp32", reference, False)]
        with torch.inference_mode():
            for batch in self.args.batches:
                for variant, precision, call, channels_last in ways:
                    if not self.time_left():
                        emit(kind="peer_failure", variant=variant, batch=batch, why="out of time")
                        continue
                    self.precise(precision != "tf32")
                    try:
                        self.scoring(variant, precision, batch, call, torch.float32, channels_last, reference)
                    except (RuntimeError, torch.cuda.OutOfMemoryError) as problem:
                        emit(kind="peer_failure", variant=variant, batch=batch, why=str(problem).splitlines()[0])
                    finally:
                        self.precise(True)

    def compiled(self, precision, mode):
        torch = self.torch
        import torch._dynamo
        import torch._inductor.config
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        reference = self.model()
        network = self.model().to(dtype=dtype, memory_format=torch.channels_last)
        variant = "compile " + precision if mode == "reduce-overhead" else f"compile {precision}, {mode}"
        freezing = True
        for batch in self.args.batches:
            while True:
                torch._dynamo.reset()  # one batch size, one program: nothing dynamic
                torch._inductor.config.freezing = freezing
                compiled = torch.compile(network, mode=mode, dynamic=False)

                def call(x, compiled=compiled):
                    if mode != "default":
                        torch.compiler.cudagraph_mark_step_begin()
                    return compiled(x)

                try:
                    with torch.no_grad():
                        self.scoring(variant + ("" if freezing else ", weights not frozen"), precision, batch, call, dtype,
                                     True, reference)
                except Exception as problem:  # a compiler may raise anything
                    why = f"{type(problem).__name__}: {str(problem).strip().splitlines()[0] if str(problem) else ''}"
                    emit(kind="peer_failure", variant=variant, batch=batch, frozen=freezing, why=why)
                    if freezing:  # once more, and from now on, without
                        freezing = False
                        continue
                break

    def training(self):
        torch = self.torch
        teacher = self.model().requires_grad_(False)
        batches = [b for b in (128, 64) if self.cuda] or [2]
        for backward in ("truncated", "full"):
            for precision, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
                for batch in batches:
                    variant = f"eager AMP {precision} channels_last"
                    if not self.time_left():
                        emit(kind="peer_failure", variant=f"training, {backward}, {variant}", batch=batch, why="out of time")
                        continue
                    try:
                        self.train(teacher, backward, variant, precision, dtype, batch)
                    except (RuntimeError, torch.cuda.OutOfMemoryError) as problem:
                        emit(kind="peer_failure", variant=f"training, {backward}, {variant}", batch=batch,
                             why=str(problem).splitlines()[0])

    def train(self, teacher, backward, variant, precision, dtype, batch):
        torch = self.torch
        teacher = teacher.to(memory_format=torch.channels_last)
        student = self.model().to(memory_format=torch.channels_last).train()
        if backward == "truncated":
            for p in list(student.feature_extractor.parameters())[:-TRAINED]:
                p.requires_grad_(False)
        trained = [p for p in student.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, weight_decay=5e-4)
        scaler = torch.amp.GradScaler(self.device.type, init_scale=128.0, enabled=precision == "fp16" and self.cuda)
        cosine, smooth = torch.nn.CosineEmbeddingLoss(), torch.nn.SmoothL1Loss(beta=0.5)
        images = [self.network_input(self.pixels(batch), torch.float32, True) for _ in range(2)]
        quality, one = torch.rand(batch, 1, device=self.device), torch.ones(batch, device=self.device)

        def step():
            with torch.autocast(self.device.type, dtype=dtype):
                with torch.no_grad():
                    target = teacher.feature_extractor(images[0])
                e, q = student(images[1])
                loss = cosine(e.float(), target.float(), one) + smooth(q.float(), quality)
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(trained, 5.0)
            scaler.step(optimiser)
            scaler.update()
            return loss

        for _ in range(3):
            loss = step()
        ms = self.median_ms(step, seconds=1.0, least=5)
        self.synchronize()
        emit(kind="peer_training", variant=variant, precision=precision, backward=backward, batch=batch,
             trained_parameters=sum(p.numel() for p in trained), ms=ms, images_per_s=batch / ms * 1e3,
             loss_is_finite=bool(torch.isfinite(loss).item()))

    def run(self, child):
        torch = self.torch
        if child == "eager":
            emit(kind="peer_run", torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
                 device=torch.cuda.get_device_name() if self.cuda else "cpu")
            self.eager()
        elif child == "training":
            self.training()
        else:
            way, precision = child.split()
            self.compiled(precision, "reduce-overhead" if way == "compile" else way)


# ---- the parent: a process and a share of the budget for each ----

def run_child(args, child, seconds, out):
    command = [sys.executable, __file__, "--child", child, "--budget-s", str(seconds), "--device", args.device,
               "--architecture", args.architecture, "--batches", *map(str, args.batches)]
    lines, begin, why = 0, time.monotonic(), None
    with tempfile.TemporaryFile("w+") as errors:
        # A session of its own, so that the workers of its compiler go with it.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)

        def stop(*_):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

        # A child stops by itself when its time is up, if it is not in the middle of a compilation.
        timer = threading.Timer(seconds + 10, stop)
        timer.start()
        previous = signal.signal(signal.SIGTERM, lambda *_: (stop(), sys.exit(143)))
        try:
            for line in process.stdout:
                try:
                    json.loads(line)
                except ValueError:
                    continue  # chatter of a library, or a line cut short
                lines += 1
                out(line.strip())
            code = process.wait()
        finally:
            timer.cancel()
            stop()
            signal.signal(signal.SIGTERM, previous)
        if code == -signal.SIGKILL:
            why = f"stopped after {time.monotonic() - begin:.0f} s, its share of the budget; what it had measured stands"
        elif code != 0:
            errors.seek(0)
            said = [line.strip() for line in errors.read().splitlines() if line.strip()]
            why = f"exit status {code}: {said[-1] if said else 'no message'}"
    if why is not None:
        out(json.dumps({"kind": "peer_failure", "variant": child, "why": why}))
    print(f"gpu_peers: {child}: {lines} lines in {time.monotonic() - begin:.0f} s{'; ' + why if why else ''}",
          file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="in the order in which they are measured")
    parser.add_argument("--budget-s", type=float, default=180)
    parser.add_argument("--json", type=pathlib.Path, help="also write the lines to this file")
    parser.add_argument("--device", default="cuda", help="cpu: to try the script")
    parser.add_argument("--architecture", default="iresnet100")
    parser.add_argument("--only", nargs="+", choices=[name for name, _ in CHILDREN], help="these ways alone")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        Bench(args).run(args.child)
        return 0

    try:
        import torch
    except ImportError as problem:
        print(f"gpu_peers: PyTorch is not here ({problem}); nothing was measured.", file=sys.stderr)
        return 3
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("gpu_peers: PyTorch sees no CUDA device; nothing was measured.", file=sys.stderr)
        return 3
    file = args.json.open("w") if args.json else None
    measured = 0

    def out(line):
        nonlocal measured
        measured += json.loads(line)["kind"] in ("peer", "peer_training")
        print(line, flush=True)
        if file:
            print(line, file=file, flush=True)

    deadline = time.monotonic() + args.budget_s
    for child, share in CHILDREN:
        if args.only and child not in args.only:
            continue
        left = deadline - time.monotonic() - 10
        if left < 15:
            out(json.dumps({"kind": "peer_failure", "variant": child, "why": "not begun: out of time"}))
            continue
        run_child(args, child, left * share, out)
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())
