"""Runs the built aikd-crop over many images and compares every byte with Pillow and OpenCV.

    python check_against_originals.py --crop build/release/bin/aikd-crop [--real FOLDER [--landmarks CSV]] ...

Random images are made here; real ones are those below FOLDER. Pillow before 13 resizes horizontally first; since 13 it
takes the vertical pass first for some shapes. Both orders are compared, each with what the installed Pillow can give: the
horizontal-first order is two calls of one axis each (the same in every version), and the direct call is compared with the
order of the installed version. OpenCV's warpAffine is compared when it has the classic arithmetic (up to 4.11); for newer
versions the differences are counted and shown without failing.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import PIL
from PIL import Image, ImageOps

try:
    import cv2
except ImportError:
    cv2 = None

REFERENCE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.729904, 92.2041]])
COLUMNS = "lx ly rx ry nx ny mlx mly mrx mry".split()
PILLOW = int(PIL.__version__.split(".")[0])
CLASSIC_OPENCV = cv2 is not None and tuple(int(v) for v in cv2.__version__.split(".")[:2]) <= (4, 11)


def umeyama(source, target=REFERENCE):
    """In numpy, as scikit-image computes it."""
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    covariance = t.T @ s / len(source)
    d = np.array([1.0, -1.0 if np.linalg.det(covariance) < 0 else 1.0])
    u, singular, v = np.linalg.svd(covariance)
    rotation = u @ np.diag(d) @ v
    scale = (singular @ d) / s.var(0).sum()
    return np.hstack([scale * rotation, (mean_t - scale * rotation @ mean_s)[:, None]])


class Tally:
    def __init__(self, what, binding=True):
        self.what, self.binding, self.cases, self.bytes, self.different, self.worst = what, binding, 0, 0, 0, 0

    def compare(self, name, expected, got):
        self.cases += 1
        self.bytes += expected.size
        if expected.shape != got.shape:
            raise SystemExit(f"{name}: {got.shape} instead of {expected.shape}")
        difference = np.abs(expected.astype(int) - got.astype(int))
        count = int((difference > 0).sum())
        self.different += count
        self.worst = max(self.worst, int(difference.max(initial=0)))
        if count > 0 and self.binding and self.different < 100000:
            print(f"  {name}: {count} bytes differ by up to {difference.max()}")

    def report(self):
        print(f"{self.what}: {self.cases} cases, {self.bytes} bytes, {self.different} differ"
              + (f", by up to {self.worst}" if self.different else "") + ("" if self.binding else " (not required)"))
        return self.different == 0 or not self.binding


def crop(program, folder, out, *options):
    """path -> crop, for every image below `folder`."""
    out.mkdir(exist_ok=True)
    rows = out / "rows.csv"
    done = subprocess.run([program, str(folder), "--out", str(out / "crops"), "--rows", str(rows), "--quiet", *options])
    if done.returncode not in (0, 1):
        raise SystemExit(f"{program} returned {done.returncode}")
    result = {}
    with open(rows, newline="", encoding="utf-8", errors="surrogateescape") as file:
        for row in csv.DictReader(file):
            result[row["path"]] = row
    return result


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def check_resize(program, folder, size, exif, tallies):
    horizontal_first, direct, decoded = tallies
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        options = ["--size", str(size)] + ([] if exif else ["--no-exif"])
        plain = crop(program, folder, out / "a", *options)
        as_installed = plain if PILLOW < 13 else crop(program, folder, out / "b", "--resize-order", "pillow13", *options)
        for path, row in plain.items():
            if row["status"] != "ok":
                try:
                    Image.open(path).convert("RGB")
                except Exception:
                    continue
                print(f"  {path}: aikd-crop says {row['status']}: {row['error']}; Pillow opens it")
                decoded.different += 1
                continue
            image = Image.open(path)
            image = (ImageOps.exif_transpose(image) if exif else image).convert("RGB")
            decoded.cases += 1
            half = image.resize((size, image.height), Image.BILINEAR)
            horizontal_first.compare(path, np.asarray(half.resize((size, size), Image.BILINEAR)), pixels(row["output"]))
            expected = np.asarray(image.resize((size, size), Image.BILINEAR))
            direct.compare(path, expected, pixels(as_installed[path]["output"]))


def check_warp(program, folder, landmarks, tally, limit):
    points = {}
    with open(landmarks, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            points[row["path"]] = np.array([float(row[c]) for c in COLUMNS]).reshape(5, 2)
    with tempfile.TemporaryDirectory() as name:
        rows = crop(program, folder, pathlib.Path(name), "--landmarks", str(landmarks), "--no-exif")
        for path, row in list(rows.items())[:limit]:
            if row["status"] != "ok":
                continue
            parts = pathlib.PurePath(path).parts
            key = next((k for k in ("/".join(parts[i:]) for i in range(len(parts))) if k in points), None)
            image, got = np.asarray(Image.open(path).convert("RGB")), pixels(row["output"])
            expected = cv2.warpAffine(image, umeyama(points[key]), (112, 112), flags=cv2.INTER_LINEAR, borderValue=0)
            tally.compare(path, expected, got)


def random_folder(folder, count, seed):
    """Random sizes and contents; landmarks at random similar positions."""
    rng = np.random.default_rng(seed)
    rows = ["path," + ",".join(COLUMNS)]
    for i in range(count):
        width, height = (int(v) for v in np.round(2 ** rng.uniform(0, 9.3, 2)))
        if i % 3 == 0:
            height = width
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if i % 4 == 1:
            noise = (noise >> 7) * np.uint8(255)
        if i % 4 == 2:
            noise = np.asarray(Image.fromarray(noise[: max(1, height // 8), : max(1, width // 8)]).resize((width, height)))
        Image.fromarray(noise).save(folder / f"{i:04}.png")
        angle, scale = rng.uniform(-3.2, 3.2), 2 ** rng.uniform(-2, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
        landmarks = (REFERENCE - 56) @ turn.T + [width / 2, height / 2] + rng.normal(size=(5, 2)) * 2
        rows.append(f"{i:04}.png," + ",".join(repr(float(v)) for v in landmarks.reshape(-1)))
    (folder / "landmarks.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crop", required=True, help="the aikd-crop program")
    parser.add_argument("--random", type=int, default=600, help="number of random images")
    parser.add_argument("--real", action="append", default=[], help="a folder of real images; may be repeated")
    parser.add_argument("--landmarks", action="append", default=[], help="the CSV of the --real folder at the same place")
    parser.add_argument("--limit", type=int, default=10**9, help="at most so many warps per folder")
    arguments = parser.parse_args()
    print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__ if cv2 else 'absent'}, numpy {np.__version__}")
    ok = True

    def run(kind, folder, landmarks):
        nonlocal ok
        tallies = [Tally(f"{kind}: resize, horizontal first"), Tally(f"{kind}: resize, as Pillow {PIL.__version__} does"),
                   Tally(f"{kind}: decoded and resized as Pillow")]
        check_resize(arguments.crop, folder, 112, True, tallies)
        warp = Tally(f"{kind}: warpAffine of OpenCV {cv2.__version__ if cv2 else ''}", CLASSIC_OPENCV)
        if landmarks and cv2 is not None:
            check_warp(arguments.crop, folder, landmarks, warp, arguments.limit)
        for tally in tallies[:2] + [warp]:
            ok = tally.report() and ok
        ok = ok and tallies[2].different == 0

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random_folder(folder, arguments.random, 1)
        run("random images", folder, folder / "landmarks.csv")
    for i, folder in enumerate(arguments.real):
        run(folder, pathlib.Path(folder), arguments.landmarks[i] if i < len(arguments.landmarks) else None)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
