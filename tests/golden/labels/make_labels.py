"""Makes labels.json: quality labels (norm and FROQ's auxiliary labels) of three hash images by PyTorch in float64, with
the seeded MobileFaceNet of tests/golden/nets (weights by networks.py, BatchNorm statistics from
nets_mobilefacenet.safetensors). Written from FROQ's description (method: flip, noise, occlusion), not from aikd/.

The masks of noise are redrawn from the counter hash: networks.normal(seed, masks * height * width * 3), in the order
mask, row, column, channel of the network.

Usage: python make_labels.py [OUTPUT_FOLDER]   (default: beside this script)"""
import json
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "nets"))
import make_nets  # noqa: E402
import networks as N  # noqa: E402

CASES = [  # the defaults, and everything different from them
    {"bgr": False, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "noise": 0.001, "masks": 10, "grid": 8, "seed": 0},
    {"bgr": True, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "noise": 0.2, "masks": 3, "grid": 4,
     "seed": 7},
]
IMAGES = [1, 2, 3]  # seeds


def read_statistics(path):
    """The tensors bn.* of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    out = {}
    for name, info in header.items():
        if name.startswith("bn."):
            assert info["dtype"] == "F32"
            begin, end = info["data_offsets"]
            values = np.frombuffer(data[8 + length + begin:8 + length + end], "<f4").reshape(info["shape"])
            out[name[3:]] = torch.from_numpy(values.copy())
    return out


def network(dtype):
    net = N.initialise(N.make_backbone("mobilefacenet"), 13)
    statistics = read_statistics(HERE.parent / "nets" / "nets_mobilefacenet.safetensors")
    state = net.state_dict()
    assert set(statistics) == {k for k in state if k.endswith(("running_mean", "running_var"))}
    state.update(statistics)
    net.load_state_dict(state, strict=True)
    return net.eval().to(dtype)


def normalised(seed, case):
    """[height, width, channel of the network], float32 as torchvision computes it."""
    x = torch.from_numpy(make_nets.image(seed)).to(torch.float32) / 255
    if case["bgr"]:
        x = x.flip(2)
    return (x - torch.tensor(case["mean"])) / torch.tensor(case["std"])


@torch.no_grad()
def embed(net, images):
    dtype = next(net.parameters()).dtype
    return net(torch.stack(images).permute(0, 3, 1, 2).to(dtype)).double()


def froq(net, x, case, masks):
    original = embed(net, [x])[0]

    def mean_cosine(images):
        return torch.nn.functional.cosine_similarity(embed(net, images), original[None], dim=1, eps=0).mean().item()

    a = case["noise"]
    covered = []
    cell = x.shape[0] // case["grid"]
    for row in range(case["grid"]):
        for column in range(case["grid"]):
            y = x.clone()
            y[row * cell:(row + 1) * cell, column * cell:(column + 1) * cell] = -1
            covered.append(y)
    parts = {"flip": mean_cosine([x.flip(1)]), "noise": mean_cosine([(1 - a) * x + a * m for m in masks]),
             "occlusion": mean_cosine(covered)}
    return {"norm": original.norm().item(), "label": sum(parts.values()) / 3, **parts}


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    exact, single = network(torch.float64), network(torch.float32)
    cases, worst = [], 0.0
    for case in CASES:
        count = case["masks"] * 112 * 112 * 3
        masks = torch.from_numpy(N.normal(case["seed"], count).astype(np.float32)).reshape(case["masks"], 112, 112, 3)
        results = []
        for seed in IMAGES:
            x = normalised(seed, case)
            results.append(froq(exact, x, case, masks))
            again = froq(single, x, case, masks)
            worst = max([worst] + [abs(again[k] / v - 1) for k, v in results[-1].items()])
            print(results[-1])
        cases.append({**case, "images": results})
    out = {"torch": torch.__version__, "numpy": np.__version__, "image_seeds": IMAGES,
           "float32_against_float64": float(f"{worst:.2e}"), "cases": cases}
    (target / "labels.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    print("float32 against float64, relative:", worst)


if __name__ == "__main__":
    main()
