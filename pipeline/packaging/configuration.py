"""config.json: the encoder's settings, and the signature of the exported function. In shapes, -1 is any number."""

from typing import Any

from pipeline.examples.inputs import Inputs
from pipeline.packaging.export import PLATFORMS, cache_shapes


def of_predictions(inputs: Inputs, shape: list[int], name: str) -> dict[str, Any]:
    """For a function from inputs to an array of this name and shape."""
    return _of(inputs) | {"outputs": [{"name": name, "dtype": "float32", "shape": shape}]}


def of_decoder(inputs: Inputs, model: Any, *, context: int, vocabulary: int) -> dict[str, Any]:
    """For a language model's function, which takes and returns a `cache` too."""
    return _of(inputs) | {
        "context": context,
        "bounded": model.bounded,
        "cache": _arrays(cache_shapes(model, -1)),
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, -1, vocabulary]}],
    }


def _of(inputs: Inputs) -> dict[str, Any]:
    return {
        "input_kind": inputs.kind,
        "preprocessing": inputs.settings.model_dump(),
        **inputs.facts,
        "platforms": PLATFORMS,
        "inputs": _arrays(inputs.signature(-1, -1)),
    }


def _arrays(shapes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": str(x.dtype), "shape": list(x.shape)} for name, x in shapes.items()]
