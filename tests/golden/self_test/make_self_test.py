"""Makes apps/aikd_score/self_test_constants.h: what `aikd-score --self-test` expects.

The picture, the weights and the landmarks are defined twice, here and in apps/aikd_score/self_test.cpp, by the same
formulas; the resize is Pillow's, the alignment Umeyama's (numpy) with OpenCV's classic warpAffine (up to 4.11; newer
versions compute in float and give other pixels), the network PyTorch's in double precision. In two steps, because
that OpenCV and PyTorch may live in different environments:

    python make_self_test.py align aligned.bin                      # needs opencv-python-headless <= 4.11
    python make_self_test.py constants aligned.bin > ../../../apps/aikd_score/self_test_constants.h
"""

import hashlib
import pathlib
import sys

import numpy as np

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # `align` does not need it
    pass

MASK = (1 << 64) - 1


def splitmix64(x):
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def uniform(name, count):
    key = splitmix64(np.array([fnv1a64(name)], dtype=np.uint64))
    bits = splitmix64(key ^ splitmix64(np.arange(count, dtype=np.uint64)))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def picture(width=200, height=160):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    index = ((y * width + x) * 3 + c).astype(np.uint64)
    grain = (splitmix64(index) >> np.uint64(58)).astype(np.int64)
    slope = (x * (c + 1) + y * (3 - c)) * 191 // (width * 3 + height * 3)
    return (slope + grain).astype(np.uint8)


def umeyama(source, target):
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    covariance = t.T @ s / len(s)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.ones(2)
    if np.linalg.det(covariance) < 0:
        sign[1] = -1
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / s.var(0).sum()
    return np.hstack([scale * rotation, (mean_t - scale * rotation @ mean_s)[:, None]])


REFERENCE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                      [70.729904, 92.2041]])
LANDMARKS = np.array([[70.25, 60.5], [122.75, 66.0], [95.0, 92.25], [72.5, 118.75], [112.0, 122.5]])


def weight(name, shape):
    """In this project's layout (conv: K,R,S,C), as float32 values in double."""
    count = int(np.prod(shape))
    bound = np.sqrt(3.0 / (count / shape[0]))
    return (bound * (2.0 * uniform(name, count) - 1.0)).astype(np.float32).astype(np.float64).reshape(shape)


def tensor(values):
    return torch.tensor(values.astype(np.float32).astype(np.float64))


def vector(name, count, scale, offset):
    return tensor(offset + scale * uniform(name, count))


def small(name, count):
    return tensor(0.2 * uniform(name, count) - 0.1)


def conv(x, name, c_in, c_out, stride):
    w = torch.tensor(weight(name + ".weight", (c_out, 3, 3, c_in)).transpose(0, 3, 1, 2).copy())
    return F.conv2d(x, w, stride=stride, padding=1)


def bn(x, name, channels):
    return F.batch_norm(x, small(name + ".running_mean", channels),
                        vector(name + ".running_var", channels, 0.5, 0.75),
                        vector(name + ".weight", channels, 0.5, 0.75), small(name + ".bias", channels),
                        eps=float(np.float32(1e-5)))


def prelu(x, name, channels):
    return F.prelu(x, vector(name + ".weight", channels, 0.3, 0.1))


def linear(x, name, n_in, n_out):
    return F.linear(x, torch.tensor(weight(name + ".weight", (n_out, n_in))), small(name + ".bias", n_out))


def network(crops):
    x = torch.tensor(crops.astype(np.float32) / np.float32(255))
    x = ((x - 0.5) / 0.5).double().permute(0, 3, 1, 2)
    a = prelu(bn(conv(x, "stem", 3, 16, 2), "stem_bn", 16), "stem_act", 16)
    b = prelu(bn(conv(bn(a, "bn1", 16), "conv1", 16, 16, 1), "bn2", 16), "act", 16)
    c = bn(conv(b, "conv2", 16, 16, 1), "bn3", 16) + a
    flat = conv(c, "down", 16, 32, 2).permute(0, 2, 3, 1).flatten(1)  # our H,W,C order, as the weights
    embedding = bn(linear(flat, "fc", 28 * 28 * 32, 16), "features", 16)
    return embedding, linear(F.gelu(linear(embedding, "l1", 16, 32)), "l2", 32, 1)[:, 0]


def sha(pixels):
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def align(path):
    import cv2

    if tuple(int(v) for v in cv2.__version__.split(".")[:2]) > (4, 11):
        raise SystemExit(f"OpenCV {cv2.__version__} has the newer arithmetic; use one up to 4.11.")
    aligned = cv2.warpAffine(picture(), umeyama(LANDMARKS, REFERENCE), (112, 112))
    path.write_bytes(cv2.__version__.ljust(16).encode() + aligned.tobytes())


def constants(path):
    import PIL
    from PIL import Image

    source = picture()
    resized = np.asarray(Image.fromarray(source).resize((112, 112), Image.BILINEAR))
    data = path.read_bytes()
    opencv, aligned = data[:16].decode().strip(), np.frombuffer(data[16:], np.uint8).reshape(112, 112, 3)
    embedding, score = network(np.stack([resized, aligned]))
    norms = embedding.norm(dim=1)
    print(f"""// What --self-test expects. Made by tests/golden/self_test/make_self_test.py with Pillow {PIL.__version__},
// OpenCV {opencv}, PyTorch {torch.__version__} and NumPy {np.__version__}.
#pragma once

#include <string_view>

namespace aikd::apps {{

inline constexpr std::string_view kPictureSha =
    "{sha(source)}";
inline constexpr std::string_view kResizedSha =
    "{sha(resized)}";
inline constexpr std::string_view kAlignedSha =
    "{sha(aligned)}";
inline constexpr double kExpectedNorms[2] = {{{norms[0]:.9f}, {norms[1]:.9f}}};
inline constexpr double kExpectedScores[2] = {{{score[0]:.9f}, {score[1]:.9f}}};

}}  // namespace aikd::apps""")


if __name__ == "__main__":
    np.seterr(over="ignore")
    {"align": align, "constants": constants}[sys.argv[1]](pathlib.Path(sys.argv[2]))
