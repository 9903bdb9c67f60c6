"""scikit-image's SimilarityTransform.estimate from five points.

    python make_alignment.py     writes alignment.json beside this script
"""

import pathlib

import numpy as np
import skimage
from skimage.transform import SimilarityTransform

import common

REFERENCE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.729904, 92.2041]])


def estimate(source, target):
    if hasattr(SimilarityTransform, "from_estimate"):
        return SimilarityTransform.from_estimate(source, target).params[:2]
    transform = SimilarityTransform()
    assert transform.estimate(source, target)
    return transform.params[:2]


def main():
    cases = []

    def add(name, source, target=REFERENCE):
        source, target = np.asarray(source, float), np.asarray(target, float)
        cases.append({"name": name, "source": source.tolist(), "target": target.tolist(),
                      "matrix": np.asarray(estimate(source, target)).reshape(-1).tolist()})

    def draw(seed, lo, hi):
        bits = common.random_bits(seed, 10)
        return np.array([lo + (hi - lo) * float(int(b) >> 11) * 2.0**-53 for b in bits]).reshape(5, 2)

    add("identity", REFERENCE)
    add("larger", REFERENCE * 3 + 20)
    add("smaller", REFERENCE / 7 - 3)
    add("turned by 90 degrees", REFERENCE @ np.array([[0, 1], [-1, 0]]))
    add("turned by 180 degrees", -REFERENCE)
    add("mirrored", REFERENCE * [-1, 1] + [112, 0])
    add("upside down mirrored", REFERENCE * [1, -1])
    add("on a line", [[10, 10], [20, 20], [30, 30], [40, 40], [50, 50]])
    add("on a level line", [[10, 30], [50, 30], [30, 30], [15, 30], [45, 30]])
    add("on a line, to a line", [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]], [[5, 1], [4, 1], [3, 1], [2, 1], [1, 1]])
    for seed in range(20):
        add(f"jittered {seed}", REFERENCE * 1.7 + draw(100 + seed, -6, 6))
    for seed in range(20):
        add(f"unrelated {seed}", draw(200 + seed, -50, 300), draw(300 + seed, 0, 112))
    add("far away", REFERENCE + 1e6)
    add("tiny", REFERENCE * 1e-6)
    common.write_json(pathlib.Path(__file__).with_name("alignment.json"), {"cases": cases}, skimage=skimage.__version__)


if __name__ == "__main__":
    main()
