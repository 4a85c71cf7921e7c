"""Whether a package that is made anew answers as the one it is made from: its function on random inputs, and all of it
on the samples.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from pipeline.examples.inputs import Inputs
from pipeline.packaging.onnx.export import NoGraph
from pipeline.packaging.selftest import comparison, replay
from pipeline.packaging.writer import Trained
from pipeline.runtime import engines, package, tasks
from pipeline.runtime.errors import UserError

SIZES = ((1, 16), (8, 64))  # examples, and tokens in each
DRAWN = 4  # batches of each size
LOW_PRECISION = 5e-2  # see `tolerance`


def of_functions(old: Path, new: Path, trained: Trained) -> str:
    """Compares both functions; returns on what. Raises UserError where they differ."""
    longest = getattr(trained.network, "context", None)
    try:
        expected = outputs(old, trained.task.inputs, longest)
    except Exception as error:  # another JAX made it: reading or compiling it may run into anything
        return f"not on random inputs, since the old function cannot be run here ({error})"
    worst = 0.0
    for one, other in zip(outputs(new, trained.task.inputs, longest), expected, strict=True):
        worst = max(worst, float((np.abs(one - other) / np.maximum(1, np.abs(other))).max()))
    if not worst <= tolerance(trained):  # also refuses a NaN
        raise UserError(f"{old}: today's code gives other answers, up to {worst:.2g} off: nothing is written")
    return f"on random inputs to {worst:.1g}"


def write_onnx(folder: Path, trained: Trained) -> str | None:
    """Writes model.onnx to a new package if it gives what the function there gives for random inputs. Returns why there
    is none; None where it is written.
    """
    path = folder / engines.MODEL
    try:
        path.write_bytes(trained.task.export_onnx(trained.predictor, trained.tree, trained.network))
    except NoGraph as refusal:
        return str(refusal)
    function, weights = package.load_function(folder)
    engine, worst = engines.load(folder, "onnx"), 0.0
    for batch in drawn(function, trained.task.inputs, None):
        wanted = call(function, weights, batch)
        worst = max(worst, float((np.abs(engine.run(batch) - wanted) / np.maximum(1, np.abs(wanted))).max()))
    if worst <= tolerance(trained):  # a NaN is not
        return None
    path.unlink()
    return f"its outputs would be up to {worst:.2g} off those of model.jaxexp"


def of_samples(old: Path, new: Path, trained: Trained) -> str:
    """Answers the samples with the new package; returns on what. Raises UserError where an answer is another."""
    from pipeline.runtime.generator import Generator
    from pipeline.runtime.predictor import Predictor

    try:
        if tasks.generates(package.task_of(new)):
            comparison.check_texts(new, replay.losses_of_samples(Generator(new), new), tolerance(trained))
        else:
            comparison.check_samples(new, replay.answers(Predictor(new), new))
    except UserError as error:
        raise UserError(f"{old}: today's code gives other answers: nothing is written: {error}") from error
    return "on its samples"


def tolerance(trained: Trained) -> float:
    """Of a number, as a share of it where that is above 1."""
    if jax.default_backend() == "gpu" or getattr(trained.network, "precision", "float32") != "float32":
        return LOW_PRECISION
    return trained.task.output_tolerance


def both(ours: bytes, old: Path, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """What our exported function and the old package's give for the same random inputs. Raises UserError."""
    rebuilt = export.deserialize(bytearray(ours))
    function, weights = package.load_function(old)
    batches = drawn(function, inputs, None)
    run = package.run(old, lambda batch: call(function, weights, batch))
    one, other = zip(*((call(rebuilt, weights, batch), run(batch)) for batch in batches))
    return np.concatenate(one), np.concatenate(other)


def drawn(function: Any, inputs: Inputs, longest: int | None) -> list[tuple[Any, ...]]:
    """Random inputs for an exported function, in batches. What it takes besides, a cache, is zeros."""
    random = np.random.default_rng(0)
    (_, *given), _ = jax.tree.unflatten(function.in_tree, function.in_avals)
    batches = []
    for b, t in SIZES:
        named = inputs.signature(b, min(t, longest or t))
        most = {name: getattr(inputs, {"characters": "alphabet"}.get(name, "vocabulary"), 256) for name in named}

        def zeros(x: Any, b: int = b) -> np.ndarray:
            return np.zeros([n if isinstance(n, int) else b for n in x.shape], x.dtype)

        for _ in range(DRAWN):
            arrays = [random.integers(0, most[name], x.shape).astype(x.dtype) for name, x in named.items()]
            batches.append((*jax.tree.map(zeros, given[: -len(arrays)]), *arrays))
    return batches


def outputs(folder: Path, inputs: Inputs, longest: int | None) -> list[np.ndarray]:
    """What the function of a package gives for random inputs."""
    function, weights = package.load_function(folder)
    return [call(function, weights, batch) for batch in drawn(function, inputs, longest)]


def call(function: Any, weights: Any, batch: tuple[Any, ...]) -> np.ndarray:
    """What an exported function says of a batch. Its cache, if it has one, is its own affair."""
    return np.asarray(jax.tree.leaves(function.call(weights, *batch))[0])
