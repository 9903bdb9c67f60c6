"""What the makers of this folder's goldens share: images that C++ can make too, hashes, versions."""

import hashlib
import json
import platform

import numpy as np


def splitmix64(x):
    """tensor/random.h, on numpy arrays of uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_bits(seed, count):
    """The first `count` values of aikd::Random(seed).bits()."""
    with np.errstate(over="ignore"):
        key = splitmix64(np.array([seed], dtype=np.uint64))[0]
        return splitmix64(key ^ splitmix64(np.arange(count, dtype=np.uint64)))


def image(seed, width, height):
    """tests/support of the C++ side: kind 0 noise, 1 black or white, 2 a smooth pattern; kind = seed % 3."""
    bits = random_bits(seed, width * height * 3)
    if seed % 3 == 0:
        values = bits >> np.uint64(56)
    elif seed % 3 == 1:
        values = (bits >> np.uint64(63)) * np.uint64(255)
    else:
        i = np.arange(width * height * 3, dtype=np.uint64)
        x, y, c = i // np.uint64(3) % np.uint64(width), i // np.uint64(3 * width), i % np.uint64(3)
        values = (x * np.uint64(3) + y * np.uint64(5) + c * np.uint64(67)) & np.uint64(255)
    return values.astype(np.uint8).reshape(height, width, 3)


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write_json(path, content, **versions):
    """One case per line, so that a change shows as a small difference."""
    versions["python"] = platform.python_version()
    versions["numpy"] = np.__version__
    head = {"made_with": versions}
    lines = [json.dumps(head)[1:-1]]
    for key, cases in content.items():
        lines.append(json.dumps(key) + ": [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
