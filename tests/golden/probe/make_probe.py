"""Makes probe.json: a small ridge regression, its penalty chosen by leaving out each row in turn (refitted
n times, no shortcut), and rank correlations.

Usage: python make_probe.py   (writes beside this script)
"""
import json
import pathlib
import sys

import numpy as np

rng = np.random.default_rng(7)
n, d = 24, 9
x = (rng.standard_normal((n, d)) * np.linspace(0.5, 30, d) + np.linspace(-40, 40, d)).astype(np.float32)
x[:, 4] = 3.25  # does not vary
y = np.round(0.3 * x[:, 1] - 0.02 * x[:, 7] + rng.standard_normal(n), 3)


def fit(x, y, means, scales, lam):
    z = (x - means) * scales
    mean = y.mean()
    # The mean is refitted with the row left out, the standardisation is not.
    zc = z - z.mean(axis=0)
    b = np.linalg.solve(zc.T @ zc + lam * np.eye(d), zc.T @ (y - mean))
    w = b * scales
    return w, mean - w @ (means + z.mean(axis=0) / np.where(scales > 0, scales, 1))


xd = x.astype(np.float64)
means, stds = xd.mean(axis=0), xd.std(axis=0)
scales = np.where(stds > 1e-9, 1 / np.where(stds > 0, stds, 1), 0)
best = None
for step in range(-12, 7):
    lam = n * 10 ** (0.5 * step)
    errors = []
    for i in range(n):
        keep = np.arange(n) != i
        w, bias = fit(xd[keep], y[keep], means, scales, lam)
        errors.append(y[i] - xd[i] @ w - bias)
    loo = float(np.mean(np.square(errors)))
    if best is None or loo < best[0]:
        best = (loo, lam)
w, bias = fit(xd, y, means, scales, best[1])


def ranks(v):
    return np.array([(np.sum(v < a) + np.sum(v <= a) - 1) / 2 for a in v])


a = np.round(rng.standard_normal(20), 1)
b = np.round(a + rng.standard_normal(20), 1)
prediction = a + 0.1 * b
out = {
    "made_by": {"python": sys.version.split()[0], "numpy": np.__version__},
    "x": x.tolist(), "y": y.tolist(), "lambda": best[1], "loo": best[0], "weight": w.tolist(), "bias": float(bias),
    "a": a.tolist(), "b": b.tolist(), "spearman": float(np.corrcoef(ranks(a), ranks(b))[0, 1]),
    "prediction": prediction.tolist(),
    "r_squared": float(1 - np.sum((b - prediction) ** 2) / np.sum((b - b.mean()) ** 2)),
}
path = pathlib.Path(__file__).with_name("probe.json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
