#!/usr/bin/env python3
"""The tensorboard package against io/tensorboard.h, both ways.

  make_tensorboard.py make            writes events.tfevents, which the C++ test reads, and plain.tfevents,
                                      the bytes that the C++ writer must give for the same rows
  make_tensorboard.py check FILE...   reads event files that the C++ test wrote; prints their scalars as JSON lines

Needs: pip install tensorboard (made with tensorboard 2.21.0, protobuf 7.36.2).
"""
import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader, LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

# (wall time, step, {tag: value}); the C++ test has the same numbers.
ROWS = [
    (1700000000.25, 0, {"train/loss": 1.5}),
    (1700000001.5, 1, {"train/loss": 0.75, "train/lr": 1e-3}),
    (1700000002.0, 300, {"train/loss": float("inf"), "train/grad_norm": -0.0}),
    (1700000003.0, 1 << 40, {"validation/l\u00f6ss": 3.4e38}),
]


def make(path, plain):
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1700000000.0, file_version="brain.Event:2").SerializeToString())
        for wall_time, step, scalars in ROWS:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            # What a reader of scalars has to pass over: a tensor, and metadata behind a tag.
            if not plain:
                values.append(Summary.Value(tag="other", tensor=TensorProto(dtype=1, float_val=[1.0])))
            event = Event(wall_time=wall_time, step=step, summary=Summary(value=values))
            if not plain:
                event.source_metadata.writer = "make_tensorboard.py"
            writer.write(event.SerializeToString())
        writer.flush()


def check(path):
    # The loader of the record format itself, and the one TensorBoard's page uses.
    versions = [event.file_version for event in LegacyEventFileLoader(str(path)).Load() if event.file_version]
    print(json.dumps({"versions": versions}))
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            number = float(tensor_util.make_ndarray(value.tensor).item())
            print(json.dumps([event.wall_time, event.step, value.tag, number]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(pathlib.Path(__file__).parent / "events.tfevents", plain=False)
        make(pathlib.Path(__file__).parent / "plain.tfevents", plain=True)
    elif sys.argv[1:2] == ["check"] and len(sys.argv) > 2:
        for name in sys.argv[2:]:
            check(name)
    else:
        sys.exit(__doc__)
