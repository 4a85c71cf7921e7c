"""A trained model -> model.onnx: the inputs and outputs of the function in packaging/export.py, the weights inside."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.packaging.onnx import cnn, linear, lstm, resnet, textcnn, transformer
from pipeline.packaging.onnx.graph import Graph, Value

GRAPHS: dict[str, Callable[..., Value]] = {
    "cnn": cnn.graph,
    "linear": linear.graph,
    "lstm": lstm.graph,
    "resnet": resnet.graph,
    "textcnn": textcnn.graph,
    "transformer": transformer.graph,
}
LARGEST = 2_000_000_000  # bytes of weights: a protobuf message holds 2 GiB


class NoGraph(Exception):
    """Why a model has no model.onnx, in one line."""


def export_predictions(
    predictor: Predictor, tree: Tree, network: str, predictions: Callable[[Graph, Value], Value]
) -> bytes:
    """The bytes of model.onnx; `predictions` are nodes from the network's outputs to the function's. Equal weights
    give equal bytes. Raises NoGraph where there is no graph of the network, or it would be too large.
    """
    if network not in GRAPHS:
        raise NoGraph(f"pipeline/packaging/onnx has no graph of the network {network}")
    if (size := sum(np.asarray(x).nbytes for x in jax.tree.leaves(tree))) > LARGEST:
        raise NoGraph(f"its weights have {size / 1e9:.1f} GB, and a file of ONNX holds 2")
    model: Any = predictor.model(tree["params"], tree["model_state"])
    task, g = predictor.task, Graph()
    for name, x in task.inputs.signature("b", "t").items():
        g.add_input(name, x.dtype, x.shape)
    logits = GRAPHS[network](g, model)
    shape = ("b", "t", task.outputs) if task.inputs.per_token else ("b", task.outputs)
    return g.finish(predictions(g, logits), task.output_name, shape)
