"""Writes model.onnx, if ONNX Runtime gives with it what evaluate wrote of the whole test split. Axes: n examples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.predictor import Predictor, Tree, evaluation_batches, loaded, predict
from pipeline.examples.batch import Examples, lengths
from pipeline.examples.inputs import Inputs
from pipeline.loaders import buckets
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.packaging.onnx.export import NoGraph
from pipeline.runtime import engines, tasks
from pipeline.runtime.errors import UserError

TOLERANCE = 1e-5  # of a probability; of other numbers as a share of their spread


def write(
    folder: Path, predictor: Predictor, tree: Tree, network: NetworkSettings, test: Path, predictions: Path
) -> str | None:
    """Writes model.onnx to a package's folder, where labels.json is, after a comparison with evaluate's `predictions`
    for the features in `test`. Returns why there is none, in a few words; None where it is written.
    """
    path = folder / engines.MODEL
    try:
        path.write_bytes(predictor.task.export_onnx(predictor, tree, network))
        worst = deviation(folder, predictor, tree, test, predictions)
    except NoGraph as refusal:
        return str(refusal)
    except UserError as error:  # ONNX Runtime cannot run it
        path.unlink()
        return str(error)
    if worst <= TOLERANCE:  # a NaN is not
        return None
    path.unlink()
    return f"its predictions would be up to {worst:.2g} off evaluate's"


def deviation(folder: Path, predictor: Predictor, tree: Tree, test: Path, predictions: Path) -> float:
    """How far off the engine onnx is, at most, in any number of the test split."""
    task: Any = predictor.task
    inputs, examples = task.inputs, buckets.load(test, task.inputs)
    engine = engines.load(folder, "onnx")
    outputs: list[Float[np.ndarray, "*t k"]] = [np.zeros(0)] * len(examples)
    sizes = lengths(examples)
    for rows, arrays in batches(examples, inputs):
        for row, output in zip(rows, engine.run(arrays)):
            outputs[row] = output[: sizes[row]] if sizes is not None and inputs.per_token else output
    if jax.default_backend() == "cpu":
        table: Any = pd.read_parquet(predictions)
        return float(tasks.load(task.name, folder, engine.outputs).deviations(outputs, table).max())
    # A GPU multiplies float32 numbers as TF32, with 11 bits: the graph is right if it does what JAX does on the CPU.
    with jax.default_device(jax.devices("cpu")[0]):
        logits = predict(predictor, tree["params"], tree["model_state"], examples)
        expected = np.asarray(task.predictions(jnp.asarray(logits)))
    found = np.concatenate(outputs) if inputs.per_token else np.stack(outputs)
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


def batches(
    examples: Examples, inputs: Inputs
) -> Iterator[tuple[Shaped[np.ndarray, " b"], list[Shaped[np.ndarray, "b ..."]]]]:
    """All examples, as the arrays that a package's function takes, and the number of each."""
    signature, planned, data = inputs.signature(1, 1), evaluation_batches(examples), DeviceExamples(examples)
    batch = jax.jit(inputs.batch, static_argnums=2)
    for (padded, length), (there, places) in zip(planned, loaded(data, planned)):
        rows = padded[padded >= 0]
        given = jax.tree.leaves(batch(there, places, length).inputs)
        yield (
            rows,
            [np.asarray(array, x.dtype)[: len(rows)] for array, x in zip(given, signature.values(), strict=True)],
        )
