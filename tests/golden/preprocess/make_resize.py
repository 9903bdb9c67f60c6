"""Pillow's bilinear resize of images that both sides can make. Pillow 13 changed the order of the two passes for some
shapes, so there are two files: run once with a Pillow before 13 and once with one since.

    python make_resize.py        writes resize_pillow12.json or resize_pillow13.json beside this script
"""

import pathlib

import PIL
from PIL import Image

import common

SIZES = [(112, 112), (1, 1), (7, 5), (224, 112), (112, 224), (64, 100)]
INPUTS = [
    (1, 1), (2, 3), (3, 2), (13, 17), (112, 112), (111, 113), (112, 250), (250, 112), (150, 150), (250, 250), (63, 72),
    (72, 130), (130, 72), (100, 300), (300, 100), (1, 64), (64, 1), (255, 191), (31, 500), (500, 31),
]


def main():
    cases = []
    for width, height in INPUTS:
        for out_width, out_height in SIZES:
            seed = 1000 + len(cases)
            x = Image.fromarray(common.image(seed, width, height))
            y = x.resize((out_width, out_height), Image.BILINEAR)
            case = {"seed": seed, "in": [width, height], "out": [out_width, out_height]}
            case["sha256"] = common.sha256(y)
            if out_width * out_height <= 35:
                case["bytes"] = y.tobytes().hex()
            cases.append(case)
    name = "resize_pillow13.json" if int(PIL.__version__.split(".")[0]) >= 13 else "resize_pillow12.json"
    common.write_json(pathlib.Path(__file__).with_name(name), {"cases": cases}, pillow=PIL.__version__)


if __name__ == "__main__":
    main()
