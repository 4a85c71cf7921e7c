"""A trained model -> serialised StableHLO, which runs on cpu and cuda without the network's code.

The weights are the function's first argument, by name: they are stored once, in model.safetensors.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import export
from jaxtyping import Array, Float, Int, Shaped

from pipeline.evaluation.explanations.attribution import NoVectors, slopes, token_slopes
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.models import weights
from pipeline.runtime.explanations.methods import BATCH
from pipeline.runtime.explanations.words import ROWS

PLATFORMS = ("cpu", "cuda")

Arrays = dict[str, Array]  # by name


def export_predictions(predictor: Predictor, tree: Tree, predictions: Callable[[Array], Array]) -> bytes:
    """(weights, inputs of any number and length) -> `predictions` of the network's outputs."""
    rebuild, shapes = _by_name(tree)
    inputs = predictor.task.inputs

    def function(arrays: Arrays, *given: Shaped[Array, "b ..."]) -> Float[Array, "b *t k"]:
        restored = rebuild(arrays)
        model: Any = predictor.model(restored["params"], restored["model_state"])
        return predictions(model(inputs.model_inputs(*given)))

    b, t = export.symbolic_shape("b, t")
    return _serialise(function, shapes, *inputs.signature(b, t).values())


def export_image_slopes(predictor: Predictor, tree: Tree) -> bytes:
    """(weights, BATCH images, of each the number of an output) -> the Slopes of these outputs' scores.

    The number of images is known, since the fast gradients of layers ask for that.
    """
    rebuild, shapes = _by_name(tree)

    def function(arrays: Arrays, images: Array, outputs: Array) -> tuple[Array, ...]:
        restored = rebuild(arrays)
        return tuple(slopes(predictor, restored["params"], restored["model_state"], images, outputs))

    (images,) = predictor.task.inputs.signature(BATCH, 1).values()
    given = jax.ShapeDtypeStruct(images.shape, np.float32)
    return _serialise(function, shapes, given, jax.ShapeDtypeStruct((BATCH,), np.int32))


def export_token_slopes(predictor: Predictor, tree: Tree) -> bytes | None:
    """(weights, ROWS texts of any length, of each the number of an output, a scale, and, where each token has outputs,
    the place of one) -> the TokenSlopes of these outputs' scores. None where the network has no vectors of tokens.
    """
    rebuild, shapes = _by_name(tree)

    (t,) = export.symbolic_shape("t")
    inputs = list(predictor.task.inputs.signature(ROWS, t).values())

    def function(arrays: Arrays, *given: Array) -> tuple[Array, ...]:
        restored = rebuild(arrays)
        texts, of = given[: len(inputs)], given[len(inputs) :]
        return tuple(token_slopes(predictor, restored["params"], restored["model_state"], texts, *of))

    of = [np.int32, np.float32, *([np.int32] if predictor.task.inputs.per_token else [])]
    try:
        return _serialise(function, shapes, *inputs, *(jax.ShapeDtypeStruct((ROWS,), kind) for kind in of))
    except NoVectors:
        return None


def export_decoder(predictor: Predictor, tree: Tree, context: int) -> bytes:
    """(weights, cache, any number of texts with up to `context` new tokens) -> logits, and the cache after them."""
    rebuild, shapes = _by_name(tree)

    def function(arrays: Arrays, cache: Arrays, tokens: Int[Array, "b t"]) -> tuple[Float[Array, "b t k"], Arrays]:
        restored = rebuild(arrays)
        model: Any = predictor.model(restored["params"], restored["model_state"])
        return model.decode(cache, tokens)

    b, t = export.symbolic_shape("b, t", constraints=[f"t <= {context}"])
    cache = cache_shapes(predictor.model(tree["params"], tree["model_state"]), b)
    return _serialise(function, shapes, cache, jax.ShapeDtypeStruct((b, t), np.int32))


def cache_shapes(model: Any, b: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes and types of the cache of `b` texts: its batch axes are those that differ for one and two texts."""
    one, two = jax.eval_shape(lambda: model.init_cache(1)), jax.eval_shape(lambda: model.init_cache(2))
    return {
        name: jax.ShapeDtypeStruct([b if n != m else n for n, m in zip(x.shape, two[name].shape)], x.dtype)
        for name, x in one.items()
    }


def _by_name(tree: Tree) -> tuple[Any, dict[str, jax.ShapeDtypeStruct]]:
    """A function that nests named arrays as `tree` does, and the shapes of these arrays."""
    named, structure = weights.named(tree), jax.tree.structure(tree)
    names = list(named)  # the tree's order, which a dict passed through jit does not keep
    shapes = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in named.items()}
    return lambda arrays: jax.tree.unflatten(structure, [arrays[name] for name in names]), shapes


def _serialise(function: Any, *arguments: Any) -> bytes:
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).serialize())
