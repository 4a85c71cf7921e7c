"""What explanations ask of a network: the scores of its outputs, and their gradients. A package has the same as an
exported function. Axes: n examples or variants of one, b of a batch, i and j of a feature map, k outputs, t tokens.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.layers import embedding
from pipeline.models import HasFeatureMap
from pipeline.runtime.explanations import methods
from pipeline.runtime.explanations.methods import Gradient


class Labelled(Protocol):
    """A task whose package answers with `predictions`."""

    def predictions(self, logits: Float[Array, "b k"]) -> Float[Array, "b k"]: ...

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]: ...


ROWS, LEAST = 64, 16  # inputs that run together; tokens of each, at least


class NoVectors(Exception):
    """A network of texts that has no vector for each token."""


@partial(jax.jit, static_argnums=0)
def slopes(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    images: Float[Array | np.ndarray, "b h w c"],
    outputs: Int[Array | np.ndarray, " b"],
) -> tuple[Float[Array, " b"], Float[Array, "b h w c"], Float[Array, "b i j"]]:
    """As methods.Slopes: the evidence for one output of each image and its gradient, for the pixels and, times the
    activation, for each place of the network's last feature map: `b 0 0` where it has none.
    """
    model = predictor.model(params, model_state)
    of, x = jnp.asarray(outputs), jnp.asarray(images)
    if not isinstance(model, HasFeatureMap):
        scores, back = jax.vjp(lambda x: predictor.task.evidence(model(x), of), x)  # type: ignore[operator]
        return scores, back(jnp.ones_like(scores))[0], jnp.zeros((len(x), 0, 0))
    features, to_pixels = jax.vjp(model.features, x)
    scores, to_features = jax.vjp(lambda f: predictor.task.evidence(model.classify(f), of), features)
    (gradient,) = to_features(jnp.ones_like(scores))
    return scores, to_pixels(gradient)[0], (features * gradient).sum(-1)


@partial(jax.jit, static_argnums=0)
def token_slopes(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    inputs: Sequence[Int[Array | np.ndarray, "b t ..."]],
    outputs: Int[Array | np.ndarray, " b"],
    scales: Float[Array | np.ndarray, " b"],
    places: Int[Array | np.ndarray, " b"] | None = None,
) -> tuple[Float[Array, " b"], Float[Array, "b t"]]:
    """As words.TokenSlopes: the evidence for one output of each text whose tokens' vectors are multiplied by its scale,
    and its derivative for the scale of each token: over vectors, the gradient times the vector. `inputs` are what the
    network takes. Where each token has outputs, `places` says which one's it is.

    Raises NoVectors where the network has no vectors of tokens.
    """

    def evidence(each: Float[Array, "b t"]) -> Float[Array, " b"]:
        model: Any = predictor.model(params, model_state)
        if not embedding.scale_tokens(model, each):
            raise NoVectors
        logits = model(predictor.task.inputs.model_inputs(*map(jnp.asarray, inputs)))
        if places is not None:  # b t k
            logits = jnp.take_along_axis(logits, jnp.asarray(places)[:, None, None], axis=1)[:, 0]
        return predictor.task.evidence(logits, jnp.asarray(outputs))

    each = jnp.broadcast_to(jnp.asarray(scales)[:, None], inputs[0].shape[:2])
    scores, back = jax.vjp(evidence, each)
    return scores, back(jnp.ones_like(scores))[0]


def gradient(predictor: Predictor, tree: Tree) -> Gradient:
    """As `slopes`, for any number of images."""
    return methods.padded(partial(slopes, predictor, tree["params"], tree["model_state"]))


class Measured(NamedTuple):
    """Of one output each."""

    evidence: Float[np.ndarray, " n"]  # what explanations explain: see Task.evidence
    answers: Float[np.ndarray, " n"]  # what a package would answer: a probability, or a value
    likeliest: Int[np.ndarray, " n"]  # the output with the highest logit


def measure(
    predictor: Predictor,
    tree: Tree,
    arrays: Sequence[Shaped[np.ndarray, "n ..."]],
    output: int = 0,
    place: Int[np.ndarray, " n"] | None = None,
) -> Measured:
    """Of one output of each input: `arrays` are what the network takes, of texts made by `few_lengths`. Where each
    token has outputs, `place` is that of the token. Batches are full, since each shape is compiled.
    """
    count = len(arrays[0])
    missing = -count % ROWS
    arrays = [np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)]) for x in arrays]
    places = None if place is None else np.concatenate([place, np.zeros(missing, int)]).astype(np.int32)
    found = []
    for start in range(0, count, ROWS):
        some = slice(start, start + ROWS)
        at = None if places is None else places[some]
        found.append(_measure(predictor, tree, [x[some] for x in arrays], np.int32(output), at))
    evidence, answers, likeliest = (np.concatenate(column)[:count] for column in zip(*found))
    return Measured(evidence.astype(np.float64), answers.astype(np.float64), likeliest)


def few_lengths(*texts: Shaped[np.ndarray, "n t ..."]) -> list[Shaped[np.ndarray, "n l ..."]]:
    """Padded to one of few lengths, since each is compiled."""
    length = max(LEAST, 1 << (texts[0].shape[1] - 1).bit_length())
    return [np.pad(x, [(0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]) for x in texts]


@partial(jax.jit, static_argnums=0)
def _measure(
    predictor: Predictor, tree: Tree, arrays: list[Array], output: Array, place: Array | None
) -> tuple[Array, Array, Array]:
    task, model = cast(Labelled, predictor.task), predictor.model(tree["params"], tree["model_state"])
    logits = model(predictor.task.inputs.model_inputs(*arrays))  # type: ignore[operator]
    if place is not None:  # b t k
        logits = jnp.take_along_axis(logits, place[:, None, None], axis=1)[:, 0]
    outputs = jnp.broadcast_to(output, (len(logits),))
    answers = jnp.take_along_axis(task.predictions(logits), outputs[:, None], axis=-1)[:, 0]
    return task.evidence(logits, outputs), answers, logits.argmax(-1)
