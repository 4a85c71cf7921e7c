"""A small network of each model for labels, and a batch to give it."""

from typing import Any

import jax.numpy as jnp

from pipeline.config.networks import NETWORKS
from pipeline.examples.batch import Batch, Examples
from pipeline.examples.task import Task

LSTM = {"width": 16, "hidden": 16, "layers": 1, "dropout": 0.0, "token_dropout": 0.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "cnn": {"filters": 8, "kernel": 3},
    "resnet": {"widths": (8, 16), "blocks": 1},
    "linear": {"ngrams": 2, "buckets": 5_000},
    "textcnn": {"width": 16, "filters": 8, "kernels": (2, 3), "dropout": 0.0},
    "lstm": {"cell": "lstm", **LSTM},
    "transformer": {"width": 16, "heads": 2, "layers": 2, "dropout": 0.0, "token_dropout": 0.0},
}


def config(name: str, **changes: Any) -> Any:
    return NETWORKS[name](**SETTINGS[name] | changes)


def batch(task: Task, data: Examples, length: int = 24) -> Batch:
    return task.inputs.batch(data, jnp.arange(len(data)), length)
