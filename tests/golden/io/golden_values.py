"""Writes Python values as JSON that keeps every type and every bit (read by tests/io/golden_values.h)."""

import struct

import numpy as np

TORCH_NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
               "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
WIDER = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}


def tensor_json(dtype, shape, data):
    return {"tensor": dtype, "shape": list(shape), "data": data.hex()}


def array_json(array):
    wider = WIDER.get(array.dtype.name, array.dtype.name)
    values = np.ascontiguousarray(array, dtype=np.dtype(wider).newbyteorder("<"))
    return tensor_json(TORCH_NAMES[wider], array.shape, values.tobytes())


def torch_json(tensor):
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    data = tensor.detach().contiguous()
    raw = data.reshape(-1).view(torch.uint8).numpy().tobytes() if data.numel() else b""
    return tensor_json(TORCH_NAMES[name], tensor.shape, raw)


def encode(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return {"float": struct.pack("<d", float(value)).hex()}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, list):
        return {"list": [encode(item) for item in value]}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return array_json(value)
    if type(value).__module__ == "torch" and type(value).__name__ in ("device", "dtype"):
        return str(value)
    return torch_json(value)
