"""torch's float32 normalisation of every byte: ToTensor's division by 255, then Normalize's sub_ and div_.

    python make_tables.py        writes tables.json beside this script (values as the bits of the floats)
"""

import pathlib

import numpy as np
import torch

import common


def table(mean, std):
    x = torch.arange(256, dtype=torch.uint8).to(torch.float32).div(255)
    if mean is not None:
        x = x.sub_(torch.tensor(mean, dtype=torch.float32)).div_(torch.tensor(std, dtype=torch.float32))
    return x.numpy().view(np.uint32).tolist()


def main():
    cases = [
        {"name": "arcface", "mean": 0.5, "std": 0.5, "bits": table(0.5, 0.5)},
        {"name": "magface", "mean": 0.0, "std": 1.0, "bits": table(None, None)},
    ]
    for channel, mean, std in (("red", 0.485, 0.229), ("green", 0.456, 0.224), ("blue", 0.406, 0.225)):
        cases.append({"name": "imagenet " + channel, "mean": mean, "std": std, "bits": table(mean, std)})
    common.write_json(pathlib.Path(__file__).with_name("tables.json"), {"cases": cases}, torch=torch.__version__)


if __name__ == "__main__":
    main()
