"""signature.json has the Open Inference Protocol's words, and the limits and shapes that the runtime keeps to."""

import json
from typing import Any

import numpy as np
import pytest
import small_tasks

from pipeline.packaging import signature
from pipeline.runtime import predictor as runtime

SHAPES = {
    "images": [{"name": "images", "datatype": "UINT8", "shape": [-1, 14, 10, 1]}],
    "texts": [{"name": "tokens", "datatype": "INT32", "shape": [-1, -1]}],
    "sentences": [
        {"name": "words", "datatype": "INT32", "shape": [-1, -1]},
        {"name": "characters", "datatype": "INT32", "shape": [-1, -1, 6]},
    ],
}


@pytest.mark.parametrize("kind", SHAPES)
def test_it_names_arrays_as_the_protocol_does(kind):
    task = small_tasks.TASKS[kind]()
    found = task.signature(None, {}, None)  # type: ignore[arg-type]
    assert found["inputs"] == SHAPES[kind]
    shape = [-1, -1, 5] if kind == "sentences" else [-1, 5]
    assert found["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": shape}]
    (raw,) = found["raw_inputs"]
    assert raw["datatype"] == "BYTES"
    assert found["temperature"] == 1.0


@pytest.mark.parametrize(("kind", "longest"), [("texts", 20), ("sentences", 20)])
def test_its_buckets_are_those_that_are_compiled(kind, longest):
    """Of any numbers of examples, of any length that they may have."""
    task = small_tasks.TASKS[kind]()
    buckets = task.signature(None, {}, None)["buckets"]  # type: ignore[arg-type]
    used = set()

    class Engine:
        compiles = True

        def run(self, arrays):
            used.add(arrays[0].shape)
            return np.zeros((*arrays[0].shape, 5) if kind == "sentences" else (len(arrays[0]), 5))

    made: Any = object.__new__(runtime.Predictor)
    made.engine = Engine()
    made.run = made.engine.run
    made.inputs = type("Kind", (), {"batch_size": 64, "min_length": 16, "max_tokens": longest})()
    for count in (1, 2, 70):
        for length in range(1, longest + 1):
            made.outputs([(np.ones(length, np.int32),)] * count)
    assert {size for size, _ in used} == set(buckets["batch"])
    assert {length for _, length in used} == set(buckets["length"])


def test_it_names_the_engines_that_are_there(tmp_path):
    (tmp_path / "model.jaxexp").touch()
    (tmp_path / "labels.json").write_text('{"labels": ["a", "b"], "thresholds": [0.5, 0.25]}')
    signature.write(tmp_path, "mine-cnn", {"inputs": [], "outputs": []})
    one = json.loads((tmp_path / "signature.json").read_text())
    assert (one["engines"], one["platform"], one["thresholds"]) == (["jax"], "jax_stablehlo", [0.5, 0.25])
    (tmp_path / "model.onnx").touch()
    signature.write(tmp_path, "mine-cnn", {"inputs": [], "outputs": []})
    both = json.loads((tmp_path / "signature.json").read_text())
    assert (both["engines"], both["platform"]) == (["onnx", "jax"], "onnxruntime_onnx")
    assert both["devices"] == {"onnx": ["cpu"], "jax": ["cpu", "cuda"]}
