"""Makes tape_iresnet.safetensors and tape_mobile.safetensors: two small networks that use every op of nn/ops.h,
and what PyTorch computes for them in float64, in our layouts (NHWC, filters K,R,S,C, flattened H,W,C).

  x, dembedding, dscore     input and the gradients that start from the two results (two losses at once)
  weight.<name>             parameters and BatchNorm statistics before, float32: both sides start from these bits
  <case>.embedding, <case>.score, <case>.grad.<name>, <case>.after.<name> (statistics after the step)

Cases: `train` (statistics of the batch, everything trained), `eval` (running statistics, everything trained),
`partial` (only what follows the first block is trained; what comes before is in evaluation mode).
tests/nn/test_tape.cpp writes the same networks on a tape.

Usage: python make_tape.py [OUTPUT_FOLDER]   (default: beside this script)"""
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


class Block(nn.Module):
    """iResNet's."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin)
        self.conv1 = nn.Conv2d(cin, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.prelu = nn.PReLU(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class SmallIResNet(nn.Module):
    """Stem, a block with stride 2 and shortcut, one without, BN, flatten, linear, BN with weight 1; MLP head."""
    FROZEN = ("conv1", "bn1", "prelu", "block1")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 9, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(9)
        self.prelu = nn.PReLU(9)
        self.block1 = Block(9, 17, 2)
        self.block2 = Block(17, 17, 1)
        self.bn2 = nn.BatchNorm2d(17)
        self.fc = nn.Linear(17 * 4 * 3, 12)
        self.fc.flattened = 17
        self.features = nn.BatchNorm1d(12)
        self.features.weight.requires_grad = False
        self.l1 = nn.Linear(12, 20)
        self.l2 = nn.Linear(20, 1)

    def forward(self, x):
        x = self.block2(self.block1(self.prelu(self.bn1(self.conv1(x)))))
        e = self.features(self.fc(torch.flatten(self.bn2(x), 1)))
        return e, self.l2(nn.functional.gelu(self.l1(e)))


class SmallMobileNet(nn.Module):
    """Stem with one PReLU slope, a bottleneck with a depthwise filter of stride 2 and ReLU6, one with a residual
    sum, a value added to itself, a global depthwise filter, 1x1 with bias; linear head."""
    FROZEN = ("stem", "stem_bn", "prelu", "expand", "expand_bn")

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(16)
        self.prelu = nn.PReLU(1)
        self.expand = nn.Conv2d(16, 20, 1, bias=False)
        self.expand_bn = nn.BatchNorm2d(20)
        self.dw = nn.Conv2d(20, 20, 3, 2, 1, groups=20, bias=False)
        self.dw_bn = nn.BatchNorm2d(20)
        self.project = nn.Conv2d(20, 16, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(16)
        self.inner = nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False)
        self.inner_bn = nn.BatchNorm2d(16)
        self.slopes = nn.PReLU(16)
        self.gdc = nn.Conv2d(16, 16, (4, 3), groups=16, bias=False)
        self.features = nn.Conv2d(16, 10, 1)
        self.head = nn.Linear(10, 1)

    def forward(self, x):
        x = self.prelu(self.stem_bn(self.stem(x)))
        x = nn.functional.relu6(self.expand_bn(self.expand(x)))
        x = nn.functional.relu6(self.dw_bn(self.dw(x)))
        x = self.project_bn(self.project(x))
        x = x + self.slopes(self.inner_bn(self.inner(x)))
        x = x + x
        e = torch.flatten(self.features(self.gdc(x)), 1)
        return e, self.head(e)


def ours(module, name, tensor):
    """A parameter, or its gradient, in our layout."""
    t = tensor.detach().double()
    owner = module.get_submodule(name.rpartition(".")[0])
    if t.dim() == 4:
        t = t[:, 0].permute(1, 2, 0) if owner.groups > 1 else t.permute(0, 2, 3, 1)
    elif t.dim() == 2 and hasattr(owner, "flattened"):
        out = t.shape[0]
        t = t.reshape(out, owner.flattened, 4, 3).permute(0, 2, 3, 1).reshape(out, -1)
    return t.float().contiguous().clone()


def fill(net, generator):
    for name, p in net.named_parameters():
        owner = net.get_submodule(name.rpartition(".")[0])
        draw = torch.randn(p.shape, generator=generator)
        if isinstance(owner, (nn.Conv2d, nn.Linear)) and p.dim() > 1:
            draw *= (2.0 / p[0].numel()) ** 0.5
        elif isinstance(owner, nn.PReLU):
            draw = 0.1 + 0.3 * torch.rand(p.shape, generator=generator)
        elif isinstance(owner, (nn.BatchNorm2d, nn.BatchNorm1d)) and name.endswith("weight"):
            draw = 0.75 + 0.5 * torch.rand(p.shape, generator=generator) if p.requires_grad else torch.ones(p.shape)
        else:
            draw *= 0.3
        p.data = draw
    for name, b in net.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.2 * torch.randn(b.shape, generator=generator))
        if name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=generator))


def run(kind, case, weights, x, dembedding, dscore):
    net = kind().double()
    net.load_state_dict(weights)
    net.train(case != "eval")
    if case == "partial":
        for name in kind.FROZEN:
            part = net.get_submodule(name).eval()
            for p in part.parameters():
                p.requires_grad = False
    embedding, score = net(x.double())
    ((embedding * dembedding.double()).sum() + (score * dscore.double()).sum()).backward()
    out = {f"{case}.embedding": embedding.detach().float(), f"{case}.score": score.detach().float()}
    for name, p in net.named_parameters():
        if p.grad is not None:
            out[f"{case}.grad.{name}"] = ours(net, name, p.grad)
    for name, b in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            out[f"{case}.after.{name}"] = b.float().clone()
    return out


def make(name, kind, extent, embedding, seed, folder):
    generator = torch.Generator().manual_seed(seed)
    net = kind()
    fill(net, generator)
    weights = {k: v.clone() for k, v in net.state_dict().items()}
    batch = 3
    x = torch.randn(batch, 3, *extent, generator=generator)
    dembedding = torch.randn(batch, embedding, generator=generator)
    dscore = torch.randn(batch, 1, generator=generator)
    out = {"x": x.permute(0, 2, 3, 1).contiguous(), "dembedding": dembedding, "dscore": dscore}
    for key, value in weights.items():
        if not key.endswith("num_batches_tracked"):
            out[f"weight.{key}"] = ours(net, key, value)
    for case in ("train", "eval", "partial"):
        out |= run(kind, case, weights, x, dembedding, dscore)
    save_file(out, folder / f"tape_{name}.safetensors",
              {"torch": torch.__version__, "numpy": np.__version__, "seed": str(seed)})


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    torch.set_num_threads(1)
    make("iresnet", SmallIResNet, (8, 6), 12, 1, folder)
    make("mobile", SmallMobileNet, (16, 12), 10, 2, folder)


if __name__ == "__main__":
    main()
