"""config.json: the task, the network, the encoder's settings, and the signature of the exported function."""

from typing import Any

from pipeline.config.networks import NetworkSettings
from pipeline.stages.packaging.export import PLATFORMS, cache_shapes
from pipeline.tasks import ImageClassification, Labelled, LanguageModelling, SequenceTagging, TextClassification


def classifier(task: Labelled, network: NetworkSettings) -> dict[str, Any]:
    """In shapes, -1 stands for any number."""
    match task:
        case ImageClassification():
            facts = {"preprocessing": task.image.model_dump(), "mean": task.mean, "std": task.std}
        case TextClassification():
            facts = {"preprocessing": task.text.model_dump(), "vocabulary": task.vocabulary}
        case SequenceTagging():
            facts = {
                "preprocessing": task.words.model_dump(),
                "vocabulary": task.vocabulary,
                "alphabet": task.alphabet,
            }
    shape = [-1, *([-1] if isinstance(task, SequenceTagging) else []), task.num_classes]
    return {
        "network": network.model_dump(),
        **facts,
        "platforms": PLATFORMS,
        "inputs": _arrays(task.signature(-1, -1)),
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": shape}],
    }


def language_model(task: LanguageModelling, network: NetworkSettings, model: Any, context: int) -> dict[str, Any]:
    """In shapes, -1 stands for any number. `memory` is the cache that the function takes and returns."""
    return {
        "network": network.model_dump(),
        "preprocessing": task.text.model_dump(),
        "vocabulary": task.vocabulary,
        "platforms": PLATFORMS,
        "context": context,
        "bounded": model.bounded,
        "memory": _arrays(cache_shapes(model, -1)),
        "inputs": _arrays(task.signature(-1, -1)),
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, -1, task.vocabulary]}],
    }


def _arrays(shapes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": str(x.dtype), "shape": list(x.shape)} for name, x in shapes.items()]
