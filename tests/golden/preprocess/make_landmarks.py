"""Pickles of landmarks in the shapes that exist, by numpy itself.

    python make_landmarks.py     writes landmarks_<shape>_<protocol>.pkl beside this script
"""

import pathlib
import pickle

import numpy as np

POINTS = np.arange(1.0, 11.0).reshape(5, 2)
SHAPES = {
    "float64": POINTS,
    "float32": POINTS.astype(np.float32),
    "int64": POINTS.astype(np.int64),
    "second": (np.array([0.0, 0.0, 10.0, 10.0, 0.99]), POINTS.astype(np.float32)),
    "rows": list(POINTS),
    "scalars": [[np.float32(v) for v in row] for row in POINTS],
    "fortran": np.asfortranarray(POINTS),
    "transposed": POINTS.T,
}


def main():
    for shape, value in SHAPES.items():
        for protocol in (2, 4):
            path = pathlib.Path(__file__).with_name(f"landmarks_{shape}_{protocol}.pkl")
            path.write_bytes(pickle.dumps({"n000001/0001_01.jpg": value, "n000001/none.jpg": None}, protocol))


if __name__ == "__main__":
    main()
