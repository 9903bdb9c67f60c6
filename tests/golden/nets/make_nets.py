"""Makes nets_*.safetensors: what PyTorch computes for networks with the seeded weights of nn/initialise.

Each file holds, for two images made by a hash (image() below, the same in tests/nn/golden_net.h):
  bn.<name>      BatchNorm statistics, calibrated over eight other such images: read by the test, because C++ and
                 PyTorch would calibrate with different last digits
  embedding, embedding_double, score, score_double    float32 and float64 runs of PyTorch
  adds           [number of residual additions, 2 images, 8]: samples of the sum, to tell which block went wrong

Usage: python make_nets.py [OUTPUT_FOLDER]   (default: beside this script)"""
import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file

import networks as N

SIZE, SAMPLES = 112, 8
CASES = {  # file: (architecture, head, seed)
    "iresnet18_mlp": ("iresnet18", "mlp", 11),
    "iresnet50_linear": ("iresnet50", "linear", 12),
    "mobilefacenet": ("mobilefacenet", "none", 13),
    "mobilefacenet_v2": ("mobilefacenet-v2", "none", 14),
}


def image(seed):
    """Bytes [112, 112, 3]: blocks of 8 x 8 pixels of random colour, three parts, and one part of noise."""
    blocks = (N.bits(2 * seed, 14 * 14 * 3) >> np.uint64(56)).astype(np.int64).reshape(14, 14, 3)
    noise = (N.bits(2 * seed + 1, SIZE * SIZE * 3) >> np.uint64(56)).astype(np.int64).reshape(SIZE, SIZE, 3)
    coarse = blocks.repeat(8, axis=0).repeat(8, axis=1)
    return ((3 * coarse + noise) // 4).astype(np.uint8)


def normalise(images):
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(torch.float32)
    return (x / 255 - 0.5) / 0.5


def residual_blocks(net):
    for m in net.modules():
        if isinstance(m, N.IBlock) or getattr(m, "residual", False):
            yield m


def sample_positions(numel):
    return [(i * 7919 + 13) % numel for i in range(SAMPLES)]


@torch.no_grad()
def run(net, head, x):
    adds, handles = [], []

    def hook(_, __, y):
        flat = y.permute(0, 2, 3, 1).reshape(y.shape[0], -1)  # NHWC
        adds.append(flat[:, sample_positions(flat.shape[1])].float())

    for block in residual_blocks(net):
        handles.append(block.register_forward_hook(hook))
    embedding = net(x)
    for handle in handles:
        handle.remove()
    score = head(embedding)[:, 0] if head is not None else torch.linalg.vector_norm(embedding.double(), dim=1)
    return embedding, score, torch.stack(adds)


def make(name, folder):
    architecture, head_kind, seed = CASES[name]
    net = N.initialise(N.make_backbone(architecture), seed)
    N.calibrate(net, normalise([image(1000 + i) for i in range(8)]))
    width = {"i": 512, "m": 128}[architecture[0]]
    head = {"mlp": lambda: N.Mlp(width, 1024), "linear": lambda: torch.nn.Linear(width, 1), "none": lambda: None}[head_kind]()
    if head is not None:
        N.initialise_head(head, seed + 1)
        head.eval()
    net.eval()
    x = normalise([image(1), image(2)])
    embedding, score, adds = run(net, head, x)
    if head is not None:
        head.double()
    embedding64, score64, _ = run(net.double(), head, x.double())
    out = {f"bn.{k}": v.float() for k, v in net.state_dict().items() if k.endswith(("running_mean", "running_var"))}
    out |= {"embedding": embedding, "embedding_double": embedding64, "score": score.float(), "score_double": score64,
            "adds": adds}
    error = ((embedding.double() - embedding64).norm() / embedding64.norm()).item()
    metadata = {"architecture": architecture, "head": head_kind, "seed": str(seed), "torch": torch.__version__,
                "numpy": np.__version__, "safetensors": safetensors.__version__,
                "float32_against_float64": f"{error:.2e}"}
    save_file({k: v.contiguous() for k, v in out.items()}, folder / f"nets_{name}.safetensors", metadata)
    print(name, metadata, "norms", embedding.norm(dim=1).tolist(), "scores", score.tolist())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    for case in CASES:
        make(case, target)
