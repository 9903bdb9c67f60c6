"""Makes tests/golden/io/torch: small files of torch.save, in both containers, what they hold, and broken ones.

Run: python make_torch_files.py (needs torch and numpy; the versions used stand in expected.json). Legacy files
differ from run to run, because PyTorch names their storages by memory addresses.
"""

import collections
import inspect
import io
import json
import pathlib
import platform
import struct
import sys
import zipfile

import numpy as np
import torch

from golden_values import encode

HERE = pathlib.Path(__file__).parent
OUT = HERE / "torch"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "fuzz_torch_file"


def dtypes():
    base = torch.arange(-3, 9).reshape(3, 4)
    state = collections.OrderedDict()
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
                  torch.int16, torch.int8, torch.uint8, torch.bool):
        fraction = 1 / 3 if dtype.is_floating_point else 1
        state[str(dtype)] = (base.abs() * fraction).to(dtype)
    state["scalar"] = torch.tensor(7, dtype=torch.int64)
    state["empty"] = torch.zeros(0, 5)
    state["special"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    return state


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    return {"base": base, "transposed": base.permute(2, 0, 1), "row": base[1], "steps": base[:, ::2, 1::3],
            "expanded": torch.tensor([1.0, 2.0]).unsqueeze(1).expand(2, 6), "again": base,
            "one": base[2, 3, 4], "none": base[1:1], "double": base[0].double().t()}


def state():
    """A small network as DataParallel saves it."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.PReLU(4))
    return torch.nn.DataParallel(net).state_dict()


def nested():
    weights = state()
    momentum = {i: {"momentum_buffer": torch.full_like(w, 0.5)} for i, w in enumerate(weights.values())}
    return {"epoch": 3, "best_acc": np.float64(0.98765), "lr": 0.1, "name": "test", "state_dict": weights,
            "optimizer": {"state": momentum, "param_groups": [{"lr": 0.1, "params": [0, 1], "nesterov": False,
                                                               "foreach": None}]}}


def deep():
    return {"model": {"net_state_dict": {"conv.weight": torch.ones(2, 3)}, "arch": "tiny"}, "epoch": 1}


def parameters():
    return {"weight": torch.nn.Parameter(torch.tensor([[1.0, -2.0]])),
            "frozen": torch.nn.Parameter(torch.tensor([3.0]), requires_grad=False)}


def extras():
    return {"state_dict": {"w": torch.ones(1)}, "size": torch.Size([1, 2]), "device": torch.device("cuda", 0),
            "dtype": torch.bfloat16, "cpu": torch.device("cpu"), "mean": np.array([0.5, 0.25], np.float32)}


def save(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def entries(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def archive(items, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, data in items:
            # A fixed date: the same bytes at every run.
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            target.writestr(info, data)
    return out.getvalue()


def big_endian():
    # float32 only: the folder's data are swapped by hand, as a big-endian machine would have written them.
    items = []
    for name, data in entries(save({"x": torch.tensor([1.0, -2.5, 3e-8])})):
        if name.endswith("/byteorder"):
            data = b"big"
        elif "/data/" in name:
            data = struct.pack(f">{len(data) // 4}f", *struct.unpack(f"<{len(data) // 4}f", data))
        items.append((name, data))
    return archive(items)


def legacy_module():
    """A pickled Module carries the path of its class's source: a neutral one, not that of whoever ran this."""
    original = inspect.getsourcefile
    inspect.getsourcefile = lambda _: "torch/nn/modules/linear.py"
    try:
        return save(torch.nn.Linear(2, 1), _use_new_zipfile_serialization=False)
    finally:
        inspect.getsourcefile = original


def broken():
    small = save({"x": torch.tensor([1.0, -2.5])})
    items = entries(small)
    is_data = lambda name: "/data/" in name
    stored = archive(items)
    damaged = bytearray(stored)
    damaged[damaged.index(struct.pack("<2f", 1.0, -2.5))] ^= 1
    encrypted = bytearray(stored)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = encrypted.find(signature)
        while at >= 0:
            encrypted[at + offset] |= 1
            at = encrypted.find(signature, at + 4)
    zeros = save({"x": torch.zeros(20_000_000, dtype=torch.uint8)})
    return {
        "lacks_storage": archive([i for i in items if not is_data(i[0])]),
        "lacks_pickle": archive([i for i in items if not i[0].endswith("data.pkl")]),
        "two_pickles": archive(items + [("other/data.pkl", b"N.")]),
        "short_storage": archive([(n, d[:-4] if is_data(n) else d) for n, d in items]),
        "long_storage": archive([(n, d + b"1234" if is_data(n) else d) for n, d in items]),
        "bad_crc": bytes(damaged),
        "encrypted": bytes(encrypted),
        "bzip2": archive(items, zipfile.ZIP_BZIP2),
        "bomb": archive(entries(zeros), zipfile.ZIP_DEFLATED),
        "byteorder": archive([(n, b"pdp11" if n.endswith("byteorder") else d) for n, d in items]),
        "torchscript": archive(items + [("archive/constants.pkl", b"N.")]),
        "uint16": save({"x": torch.zeros(2, dtype=torch.uint16)}),
        "complex": save({"x": torch.zeros(2, dtype=torch.complex64)}),
        "sparse": save({"x": torch.eye(2).to_sparse()}),
        "rank_9": save({"x": torch.zeros((1,) * 9)}),
        "no_tensors": save({"epoch": 1, "history": [1, 2]}),
        "no_dict": save([torch.ones(1)]),
        "storage": save({"x": torch.ones(2).untyped_storage()}),
        "module": save(torch.nn.Linear(2, 1)),
        "module_legacy": legacy_module(),
    }


def main():
    OUT.mkdir(exist_ok=True)
    values = {"dtypes": dtypes(), "views": views(), "state": state(), "nested": nested(), "deep": deep(),
              "parameters": parameters(), "extras": extras()}
    files = {}
    for name, value in values.items():
        files[f"{name}_zip.pth"] = save(value)
        files[f"{name}_legacy.pth"] = save(value, _use_new_zipfile_serialization=False)
    files["nested_zip_protocol4.pth"] = save(values["nested"], pickle_protocol=4)
    files["nested_legacy_protocol4.pth"] = save(values["nested"], pickle_protocol=4,
                                                _use_new_zipfile_serialization=False)
    renamed = [("some/where/" + name.partition("/")[2], data) for name, data in entries(files["nested_zip.pth"])]
    files["nested_zip_deflated.pth"] = archive(renamed, zipfile.ZIP_DEFLATED)
    # Before version 2.0 there was no byteorder entry.
    files["views_zip_old.pth"] = archive([i for i in entries(files["views_zip.pth"]) if "byteorder" not in i[0]])
    holds = {file: file.split("_")[0] for file in files}
    files["big_zip.pth"] = big_endian()
    holds["big_zip.pth"] = "big"
    values["big"] = {"x": torch.tensor([1.0, -2.5, 3e-8])}
    for name, data in (files | {f"broken_{name}.pth": data for name, data in broken().items()}).items():
        (OUT / name).write_bytes(data)
    SEEDS.mkdir(parents=True, exist_ok=True)
    for name in ("deep_zip", "deep_legacy", "parameters_zip", "views_legacy", "extras_legacy", "nested_zip_deflated"):
        (SEEDS / name).write_bytes(files[f"{name}.pth"])
    expected = {"made_by": {"python": platform.python_version(), "torch": torch.__version__,
                            "numpy": np.__version__},
                "files": holds, "values": {name: encode(value) for name, value in values.items()}}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


if __name__ == "__main__":
    sys.exit(main())
