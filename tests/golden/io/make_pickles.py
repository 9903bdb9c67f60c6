"""Makes tests/golden/io/pickle: plain data and numpy values, pickled by every protocol, and what they hold.

Run: python make_pickles.py (needs numpy; the versions used stand in expected.json)
"""

import collections
import io
import json
import pathlib
import pickle
import platform
import struct
import sys

import numpy as np

from golden_values import encode

HERE = pathlib.Path(__file__).parent
OUT = HERE / "pickle"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "fuzz_pickle"  # small pickles that use every opcode


class OldNumpyNames(pickle._Pickler):
    """Names numpy's functions as numpy 1.x did: numpy.core instead of numpy._core."""

    def save_global(self, obj, name=None):
        original = pickle.whichmodule
        pickle.whichmodule = lambda o, n: original(o, n).replace("numpy._core", "numpy.core")
        try:
            super().save_global(obj, name)
        finally:
            pickle.whichmodule = original

    dispatch = dict(pickle._Pickler.dispatch)


for kind, method in list(OldNumpyNames.dispatch.items()):
    if method is pickle._Pickler.save_global:
        OldNumpyNames.dispatch[kind] = OldNumpyNames.save_global


def dumps_old(value, protocol):
    out = io.BytesIO()
    OldNumpyNames(out, protocol).dump(value)
    return out.getvalue()


def plain():
    shared = ["shared", 1]
    return {
        "none": None, "true": True, "false": False,
        "ints": [0, 1, -1, 255, 256, 65535, 65536, -129, 2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63],
        "floats": [0.0, -0.0, 1.5, -2.25, 1e-300, 1e300, 5e-324, 0.1, float("inf"), float("-inf")],
        "strings": ["", "plain", "quote' \" back\\slash", "line\nfeed\r\ttab\0nul", "Zo\u00eb \u0142\u4eba \U0001f600",
                    "x" * 300],
        "surrogate": "caf\udce9.jpg",
        "bytes": [b"", b"\x00\xff\x80abc", b"y" * 300],
        "bytearray": bytearray(b"\x01\x02"),
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "nested": {"list": [[1, [2, [3]]], []], "dict": {"a": {"b": {}}}, (1, "key"): "tuple key", 7: "int key"},
        "shared": [shared, shared],
        "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
        "many": {f"key {i}": i for i in range(1100)},
    }


def landmarks():
    points = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
    return {
        "n000001/0001_01.jpg": (np.array([1.5, 2.5, 100.25, 120.75]), points.astype(np.float32)),
        "n000001/0002_01.jpg": ([1.0, 2.0, 3.0, 4.0], points),
        "n000002/0003_01.jpg": ((1, 2, 3, 4), points.astype(np.int64)),
        "n000002/0004_01.jpg": [[1, 2, 3, 4], points.tolist()],
        "fortran": (None, np.asfortranarray(points)),
        "big endian": (None, points.astype(">f4")),
        "not contiguous": (None, np.arange(20.0).reshape(5, 4)[:, ::2]),
        "small types": [np.array([[-1, 2], [3, -4]], dtype=t) for t in ("i1", "i2", "i4", "f2", ">i2")]
                       + [np.array([1, 200], dtype=t) for t in ("u1", "u2", "u4", "u8", ">u4")]
                       + [np.array([True, False]), np.array(3.5), np.zeros((0, 2), np.float32)],
    }


def scores():
    values = {f"folder/{i:03d}.jpg": np.float32(0.1 * i) for i in range(5)}
    values |= {"double": np.float64(-1e-17), "half": np.float16(0.333), "python": 0.7, "int": np.int32(-5),
               "unsigned": np.uint8(250), "bool": np.bool_(True), "long": np.int64(-2**40)}
    return values


def written_scores():
    """The bytes that write_score_pickle is to write, put together here by hand and loaded by Python."""
    text = lambda t: (b"\x8c" + bytes([len(t)]) if len(t) < 256 else b"X" + struct.pack("<I", len(t))) + t
    values = {"a/b.jpg": 0.5, "Zo\u00eb.jpg": -3e-39, "caf\udce9.jpg": float("inf"), "x" * 300: 1.0}
    data = b"\x80\x04" + text(b"numpy.core.multiarray") + text(b"scalar") + b"\x93\x940"
    data += text(b"numpy") + text(b"dtype") + b"\x93" + text(b"f4") + b"\x89\x88\x87R(K\x03" + text(b"<")
    data += b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb\x940}("
    for key, value in values.items():
        data += text(key.encode("utf-8", "surrogatepass")) + b"h\x00h\x01C\x04" + struct.pack("<f", value) + b"\x86R"
    data += b"u."
    loaded = pickle.loads(data)
    assert loaded == {key: np.float32(value) for key, value in values.items()}
    assert list(loaded) == list(values) and all(type(value) is np.float32 for value in loaded.values())
    return data.hex()


def main():
    OUT.mkdir(exist_ok=True)
    files = {}
    values = {"plain": plain(), "landmarks": landmarks(), "scores": scores()}
    for name, value in values.items():
        for protocol in range(6):
            (OUT / f"{name}_{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
            files[f"{name}_{protocol}.pkl"] = name
            if name != "plain":
                (OUT / f"{name}_{protocol}_numpy1.pkl").write_bytes(dumps_old(value, protocol))
                files[f"{name}_{protocol}_numpy1.pkl"] = name
    SEEDS.mkdir(parents=True, exist_ok=True)
    small = {key: value for key, value in plain().items() if key not in ("many", "strings", "bytes")}
    for protocol in range(6):
        (SEEDS / f"plain_{protocol}").write_bytes(pickle.dumps(small, protocol))
        (SEEDS / f"scores_{protocol}").write_bytes(pickle.dumps(scores(), protocol))
        (SEEDS / f"landmarks_{protocol}").write_bytes(pickle.dumps(landmarks(), protocol))
    # A lone surrogate is Python's spelling of a byte of a file name that is not UTF-8; here the byte itself is
    # expected, which JSON cannot hold: the test replaces this text.
    values["plain"]["surrogate"] = "<caf, byte e9, .jpg>"
    expected = {"made_by": {"python": platform.python_version(), "numpy": np.__version__}, "files": files,
                "written_scores": written_scores(), "values": {name: encode(value) for name, value in values.items()}}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


if __name__ == "__main__":
    sys.exit(main())
