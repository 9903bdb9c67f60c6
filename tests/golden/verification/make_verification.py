"""Makes verification.json: similarities of pairs in ten folds, and what numpy says of them.

Written from the definitions, sharing nothing with aikd/verification.cpp: brute force over thresholds.
Usage: python make_verification.py   (writes beside this script)
"""
import json
import pathlib
import sys

import numpy as np

rng = np.random.default_rng(20240409)
n = 300
same = rng.permutation(np.arange(n) % 3 != 0)
similarity = np.round(np.where(same, 0.55, 0.1) + 0.2 * rng.standard_normal(n), 3)  # rounded: there are ties
fold = np.arange(n) // 30
genuine, impostor = similarity[same], similarity[~same]

values = np.unique(similarity)
accuracies, thresholds = [], []
for k in range(10):
    others = fold != k
    v = np.unique(similarity[others])
    candidates = np.concatenate([[v[0] - 1], (v[1:] + v[:-1]) / 2, [v[-1] + 1]])
    scores = [np.count_nonzero((similarity[others] > t) == same[others]) for t in candidates]
    t = candidates[int(np.argmax(scores))]
    thresholds.append(float(t))
    accuracies.append(float(np.mean((similarity[~others] > t) == same[~others])))

difference = genuine[:, None] - impostor[None, :]
auc = float(np.mean((difference > 0) + 0.5 * (difference == 0)))

# Vertices of the ROC, then the crossing of the polyline with FMR = FNMR.
points = [(1.0, 0.0)] + [(float(np.mean(impostor > t)), float(np.mean(genuine <= t))) for t in values]
for (f0, m0), (f1, m1) in zip(points, points[1:]):
    if m1 >= f1:
        w = (f0 - m0) / ((f0 - m0) + (m1 - f1))
        eer = f0 + w * (f1 - f0)
        break

at = []
for rate in (1e-2, 1e-3, 1e-4):
    k = int(np.floor((len(impostor) - 1) * rate + 1e-9))
    t = float(np.sort(impostor)[::-1][k])
    at.append({"fmr": rate, "threshold": t, "fmr_reached": float(np.mean(impostor > t)),
               "fnmr": float(1 - np.mean(genuine > t)), "measurable": bool(len(impostor) * rate >= 1)})

out = {
    "made_by": {"python": sys.version.split()[0], "numpy": np.__version__},
    "pairs": [[float(s), bool(y), int(f)] for s, y, f in zip(similarity, same, fold)],
    "accuracy": float(np.mean(accuracies)),
    "standard_error": float(np.std(accuracies, ddof=1) / np.sqrt(10)),
    "fold_thresholds": thresholds, "fold_accuracies": accuracies,
    "auc": auc, "eer": eer, "at": at,
    "d_prime": float((genuine.mean() - impostor.mean()) / np.sqrt((genuine.var(ddof=1) + impostor.var(ddof=1)) / 2)),
    "genuine": int(same.sum()), "impostor": int((~same).sum()),
}
path = pathlib.Path(__file__).with_name("verification.json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
