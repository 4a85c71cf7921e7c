"""config.json: the task, the network, the encoder's settings, and the signature of the exported function."""

from typing import Any

from pipeline.config.networks import NetworkSettings
from pipeline.stages.packaging.export import PLATFORMS, cache_shapes
from pipeline.tasks import Labelled, LanguageModelling


def classifier(task: Labelled, network: NetworkSettings) -> dict[str, Any]:
    """In shapes, -1 stands for any number."""
    shape = [-1, *([-1] if task.per_token else []), task.num_classes]
    return {
        "network": network.model_dump(),
        **task.facts,
        "platforms": PLATFORMS,
        "inputs": _arrays(task.signature(-1, -1)),
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": shape}],
    }


def language_model(task: LanguageModelling, network: NetworkSettings, model: Any, context: int) -> dict[str, Any]:
    """In shapes, -1 stands for any number. `memory` is the cache that the function takes and returns."""
    return {
        "network": network.model_dump(),
        **task.facts,
        "platforms": PLATFORMS,
        "context": context,
        "bounded": model.bounded,
        "memory": _arrays(cache_shapes(model, -1)),
        "inputs": _arrays(task.signature(-1, -1)),
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, -1, task.vocabulary]}],
    }


def _arrays(shapes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": str(x.dtype), "shape": list(x.shape)} for name, x in shapes.items()]
