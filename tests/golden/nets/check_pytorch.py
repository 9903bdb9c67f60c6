"""The large check: the same .pth through PyTorch (with Pillow's resize or OpenCV's classic warp) and through aikd-convert and
aikd-score, over real images. Exits with 1 when anything differs by more than

  2e-5     relative error of an embedding, |ours - PyTorch's| / |PyTorch's|, the worst image
  1e-4     |score difference| in standard deviations of PyTorch's scores over the images, the worst image

Networks: iResNet with the MLP head of AI-KD, weights seeded, BatchNorm statistics calibrated by PyTorch over the images.
Files: zip and legacy containers, fp32, fp16, bf16, fp64. Also: the way back, --to-torch-layout, must load with
load_state_dict(strict=True) and give PyTorch the same bits.

Usage: python check_pytorch.py --bin BUILD/bin --images FOLDER [--landmarks CSV] [--count 48] [--only iresnet18]"""
import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import PIL
import skimage
import torch
from PIL import Image
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file as load_torch
from skimage.transform import SimilarityTransform

import networks as N

EMBEDDING_LIMIT, SCORE_LIMIT = 2e-5, 1e-4
REFERENCE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                      [70.729904, 92.2041]])


def read_landmarks(path):
    points = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            points[row["path"]] = [float(row[k]) for k in ("lx", "ly", "rx", "ry", "nx", "ny", "mlx", "mly", "mrx", "mry")]
    return points


def umeyama(source):
    if hasattr(SimilarityTransform, "from_estimate"):
        return SimilarityTransform.from_estimate(source, REFERENCE).params
    t = SimilarityTransform()
    t.estimate(source, REFERENCE)
    return t.params


def classic_warp(image, matrix):
    """cv2.warpAffine of OpenCV up to 4.11 (bilinear, border 0): source coordinates with 10 fraction bits, rounded to
    1/32 pixel, integer weights that sum to 32768. Newer versions interpolate in float."""
    (a, b, c), (d, e, f) = matrix
    determinant = 1.0 / (a * e - b * d)
    ia, ib, id_, ie = e * determinant, -b * determinant, -d * determinant, a * determinant
    ic, if_ = -ia * c - ib * f, -id_ * c - ie * f
    along = np.arange(112, dtype=np.float64)
    fixed = lambda values: np.rint(values * 1024).astype(np.int64)
    x = (fixed(ib * along + ic)[:, None] + 16 + fixed(ia * along)[None, :]) >> 5
    y = (fixed(ie * along + if_)[:, None] + 16 + fixed(id_ * along)[None, :]) >> 5
    fx, fy, x, y = x & 31, y & 31, x >> 5, y >> 5
    height, width = image.shape[:2]
    total = np.zeros((112, 112, 3), np.int64)
    for dx, dy, weight in ((0, 0, (32 - fx) * (32 - fy)), (1, 0, fx * (32 - fy)), (0, 1, (32 - fx) * fy), (1, 1, fx * fy)):
        px, py = x + dx, y + dy
        inside = (px >= 0) & (px < width) & (py >= 0) & (py < height)
        pixels = image[py.clip(0, height - 1), px.clip(0, width - 1)].astype(np.int64)
        total += pixels * (weight * inside * 32)[..., None]
    return ((total + 16384) >> 15).astype(np.uint8)


def warp(image, matrix):
    if tuple(int(v) for v in cv2.__version__.split(".")[:2]) <= (4, 11):
        return cv2.warpAffine(image, matrix, (112, 112), borderValue=0.0)
    return classic_warp(image, matrix)


def crop(path, points):
    rgb = Image.open(path).convert("RGB")
    if points is None:
        return np.asarray(rgb.resize((112, 112), Image.Resampling.BILINEAR))
    matrix = umeyama(np.array(points).reshape(5, 2))
    return warp(np.asarray(rgb), matrix[:2])


def to_input(crops):
    x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(torch.float32)
    return (x / 255 - 0.5) / 0.5


@torch.no_grad()
def evaluate(model, x, batch=8):
    parts = [model(x[i:i + batch]) for i in range(0, len(x), batch)]
    return torch.cat([p[0] for p in parts]).numpy(), torch.cat([p[1] for p in parts])[:, 0].numpy()


def cast(state, dtype):
    return {k: (v.to(dtype) if v.is_floating_point() else v) for k, v in state.items()}


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed with {result.returncode}: {result.stderr}")
    return result.stderr


class Checker:
    def __init__(self, arguments, work):
        self.bin, self.work, self.failures = Path(arguments.bin), Path(work), 0
        print(f"{'network':<12}{'input':<10}{'file':<14}{'images':>7}{'embedding':>12}{'score/std':>12}{'std':>10}")

    def compare(self, network, kind, file_kind, pth, model, x, paths, landmarks):
        converted, out = self.work / "model.safetensors", self.work / "out.safetensors"
        run(self.bin / "aikd-convert", pth, converted, "--force")
        listing = self.work / "list.txt"
        listing.write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
        command = [self.bin / "aikd-score", "-m", converted, "--list", listing, "--embeddings", out, "-o",
                   self.work / "rows.csv"]
        if landmarks is not None:
            command += ["--landmarks", landmarks]
        for old in (out, self.work / "rows.csv"):
            old.unlink(missing_ok=True)
        run(*command)
        got = load_numpy(out)
        want_e, want_s = evaluate(model, x)
        order = bytes(got["paths"]).decode("utf-8").rstrip("\0").split("\0")
        assert order == [str(p) for p in paths], "aikd-score did not score every image in order"
        e = np.linalg.norm(got["embeddings"].astype(float) - want_e, axis=1) / np.linalg.norm(want_e.astype(float), axis=1)
        spread = float(np.std(want_s.astype(float)))
        s = np.abs(got["scores"].astype(float) - want_s).max() / spread
        ok = bool(e.max() <= EMBEDDING_LIMIT and s <= SCORE_LIMIT)
        self.failures += not ok
        print(f"{network:<12}{kind:<10}{file_kind:<14}{len(paths):>7}{e.max():>12.2e}{s:>12.2e}{spread:>10.4f}"
              f"{'' if ok else '   FAILED'}", flush=True)
        return converted

    def way_back(self, network, converted, model, state, x):
        back = self.work / "torch.safetensors"
        back.unlink(missing_ok=True)
        run(self.bin / "aikd-convert", "--to-torch-layout", converted, back)
        loaded = load_torch(back)
        same = set(loaded) == set(state) and all(
            torch.equal(loaded[k], state[k]) and loaded[k].dtype == state[k].dtype for k in state)
        before = evaluate(model, x[:2])
        model.load_state_dict(loaded, strict=True)
        after = evaluate(model, x[:2])
        same = same and all(np.array_equal(a, b) for a, b in zip(before, after))
        self.failures += not same
        print(f"{network:<12}--to-torch-layout: load_state_dict(strict=True), tensors and outputs "
              f"{'bitwise equal' if same else 'DIFFER   FAILED'}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the built programs")
    parser.add_argument("--images", required=True, help="folder of photographs")
    parser.add_argument("--landmarks", help="CSV path,lx,...: relative to --images; adds the aligned runs")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--only", choices=sorted(N.DEPTHS), nargs="+", default=["iresnet18", "iresnet100"])
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, Pillow {PIL.__version__}, OpenCV {cv2.__version__}, scikit-image "
          f"{skimage.__version__}, numpy {np.__version__}")

    root = Path(arguments.images).resolve()
    points = read_landmarks(arguments.landmarks) if arguments.landmarks else {}
    names = sorted(points) if points else sorted(
        str(p.relative_to(root)) for p in root.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    names = names[:: max(1, len(names) // arguments.count)][:arguments.count]
    paths = [root / name for name in names]
    inputs = {"resized": to_input([crop(p, None) for p in paths])}

    with tempfile.TemporaryDirectory() as work:
        landmarks = None
        if points:
            inputs["aligned"] = to_input([crop(p, points[n]) for p, n in zip(paths, names)])
            landmarks = Path(work) / "landmarks.csv"
            with open(landmarks, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow("path lx ly rx ry nx ny mlx mly mrx mry".split())
                writer.writerows([str(p), *points[n]] for p, n in zip(paths, names))
        checker = Checker(arguments, work)
        for seed, network in enumerate(arguments.only, start=21):
            start = time.time()
            backbone = N.initialise(N.make_backbone(network), seed)
            N.calibrate(backbone, torch.cat([x[:16] for x in inputs.values()]))
            model = N.AiKd(backbone, N.initialise(N.Mlp(), seed + 100)).eval()
            state = {k: v.clone() for k, v in model.state_dict().items()}
            pth = Path(work) / "model.pth"
            torch.save(state, pth)
            for kind, x in inputs.items():
                converted = checker.compare(network, kind, "zip fp32", pth, model, x, paths,
                                            landmarks if kind == "aligned" else None)
            checker.way_back(network, converted, model, state, inputs["resized"])
            few = 8 if network != "iresnet18" else len(paths)
            x = inputs["resized"][:few]
            torch.save({"epoch": 3, "state_dict": {"module." + k: v for k, v in state.items()}}, pth,
                       _use_new_zipfile_serialization=False)
            checker.compare(network, "resized", "legacy fp32", pth, model, x, paths[:few], None)
            if network == arguments.only[0]:
                for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp64", torch.float64)):
                    stored = cast(state, dtype)
                    if dtype == torch.float64:  # doubles that no float holds
                        stored = {k: (v * (1 + 1e-12) if v.is_floating_point() else v) for k, v in stored.items()}
                    torch.save({"model": stored}, pth)
                    model.load_state_dict(cast(stored, torch.float32))
                    checker.compare(network, "resized", f"zip {name}", pth, model, x, paths[:few], None)
            print(f"{network:<12}{time.time() - start:.0f} s", flush=True)
    print("FAILED" if checker.failures else "passed")
    sys.exit(1 if checker.failures else 0)


if __name__ == "__main__":
    main()
