"""OpenCV's warpAffine (INTER_LINEAR, BORDER_CONSTANT 0) of images that both sides can make.

The classic fixed-point arithmetic is meant, which OpenCV had from 2.0 on; newer versions interpolate in float and give
pixels that differ, so the script refuses them.

    python make_warp.py          writes warp_affine.json beside this script
"""

import pathlib

import cv2
import numpy as np

import common

INPUTS = [(1, 1), (2, 2), (3, 50), (50, 3), (112, 112), (150, 150), (250, 250), (96, 130), (200, 31)]


def uniform(bits):
    return float(int(bits) >> 11) * 2.0**-53


def matrix(seed, width, height, out):
    """Turned, scaled, sheared for some, and moved so that the centres meet nearly; printed with all digits."""
    u = [uniform(b) for b in common.random_bits(seed, 8)]
    angle, scale = (u[0] - 0.5) * 6.4, 4.0 ** (2 * u[1] - 1)
    m = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    if seed % 4 == 0:
        m += (np.array(u[2:6]).reshape(2, 2) - 0.5) * scale
    if seed % 5 == 0:
        m = np.eye(2)
    t = np.array(out) / 2 - m @ np.array([width / 2, height / 2]) + (np.array(u[6:8]) - 0.5) * 20
    if seed % 10 == 0:
        t = np.round(t)
    return np.hstack([m, t[:, None]])


def main():
    if tuple(int(v) for v in cv2.__version__.split(".")[:2]) > (4, 11):
        raise SystemExit(f"OpenCV {cv2.__version__} has the newer arithmetic; use one up to 4.11.")
    cases = []
    for width, height in INPUTS:
        for out in [(112, 112), (112, 112), (112, 112), (5, 7), (5, 7), (130, 40)]:
            seed = 5000 + len(cases)
            m = matrix(seed, width, height, out)
            y = cv2.warpAffine(common.image(seed, width, height), m, out, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_CONSTANT, borderValue=0)
            case = {"seed": seed, "in": [width, height], "out": list(out), "matrix": m.reshape(-1).tolist()}
            case["sha256"] = common.sha256(y)
            if out == (5, 7):
                case["bytes"] = y.tobytes().hex()
            cases.append(case)
    common.write_json(pathlib.Path(__file__).with_name("warp_affine.json"), {"cases": cases}, opencv=cv2.__version__)


if __name__ == "__main__":
    main()
