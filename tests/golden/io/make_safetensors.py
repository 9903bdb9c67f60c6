"""Makes tests/golden/io/safetensors: files written by the safetensors package, and what they hold.

Run: python make_safetensors.py (needs torch and safetensors; the versions used stand in expected.json)
"""

import json
import pathlib
import platform
import sys

import safetensors
import torch
from safetensors.torch import save

from golden_values import encode

HERE = pathlib.Path(__file__).parent
OUT = HERE / "safetensors"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "fuzz_safetensors"


def dtypes():
    base = torch.arange(-3, 9).reshape(3, 4)
    names = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    tensors = {name: base.abs().to(getattr(torch, name)) for name in names}
    return tensors | {"odd.uint8": torch.arange(3, dtype=torch.uint8), "scalar": torch.tensor(2.5),
                      "empty": torch.zeros(0, 5), "name \u00eb \"quoted\"": torch.ones(1)}


def main():
    OUT.mkdir(exist_ok=True)
    SEEDS.mkdir(parents=True, exist_ok=True)
    made = {"dtypes": (dtypes(), {"format": "pt", "text": "Zo\u00eb\n\"quoted\""}),
            "plain": ({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, None)}
    files = {}
    for name, (tensors, metadata) in made.items():
        data = save(tensors, metadata)
        (OUT / f"{name}.safetensors").write_bytes(data)
        (SEEDS / name).write_bytes(data)
        files[f"{name}.safetensors"] = {"metadata": metadata or {},
                                        "tensors": {key: encode(value) for key, value in tensors.items()}}
    expected = {"made_by": {"python": platform.python_version(), "torch": torch.__version__,
                            "safetensors": safetensors.__version__}, "files": files}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


if __name__ == "__main__":
    sys.exit(main())
