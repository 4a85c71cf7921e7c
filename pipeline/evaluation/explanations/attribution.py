"""What explanations ask of a network: the scores of its outputs, and their gradients. A package has the same as an
exported function. Axes: n examples or variants of one, b of a batch, i and j of a feature map, k outputs, t tokens.
"""

from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pipeline.evaluation.predictor import Predictor, Tree, predict
from pipeline.examples.batch import Examples
from pipeline.layers import embedding
from pipeline.models import HasFeatureMap
from pipeline.runtime.explanations import methods
from pipeline.runtime.explanations.methods import Gradient


class Labelled(Protocol):
    """A task whose package answers with `predictions`."""

    def predictions(self, logits: Float[Array, "b k"]) -> Float[Array, "b k"]: ...

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]: ...


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
    tokens: Int[Array | np.ndarray, "b t"],
    outputs: Int[Array | np.ndarray, " b"],
    scales: Float[Array | np.ndarray, " b"],
) -> tuple[Float[Array, " b"], Float[Array, "b t"]]:
    """As words.TokenSlopes: the evidence for one output of each text whose tokens' vectors are multiplied by its scale,
    and its derivative for the scale of each token: over vectors, the gradient times the vector.

    Raises NoVectors where the network has no vectors of tokens.
    """

    def evidence(each: Float[Array, "b t"]) -> Float[Array, " b"]:
        model: Any = predictor.model(params, model_state)
        if not embedding.scale_tokens(model, each):
            raise NoVectors
        return predictor.task.evidence(model(jnp.asarray(tokens)), jnp.asarray(outputs))

    each = jnp.broadcast_to(jnp.asarray(scales)[:, None], tokens.shape)
    scores, back = jax.vjp(evidence, each)
    return scores, back(jnp.ones_like(scores))[0]


def gradient(predictor: Predictor, tree: Tree) -> Gradient:
    """As `slopes`, for any number of images."""
    return methods.padded(partial(slopes, predictor, tree["params"], tree["model_state"]))


class Measured(NamedTuple):
    """Of one output of each target."""

    evidence: Float[np.ndarray, " n"]  # what explanations explain: see Task.evidence
    answers: Float[np.ndarray, " n"]  # what a package would answer: a probability, or a value


def measure(predictor: Predictor, tree: Tree, examples: Examples, outputs: Int[np.ndarray, " n"]) -> Measured:
    """`outputs` has the number of an output for each example, or for each token where each has a target."""
    logits = predict(predictor, tree["params"], tree["model_state"], examples)
    missing = (1 << max(len(logits) - 1, 0).bit_length()) - len(logits)  # few shapes: each is compiled
    logits, outputs = np.pad(logits, ((0, missing), (0, 0))), np.pad(outputs, (0, missing)).astype(np.int32)
    evidence, answers = _measure(predictor, logits, outputs)
    return Measured(*(np.asarray(one, np.float64)[: len(one) - missing] for one in (evidence, answers)))


@partial(jax.jit, static_argnums=0)
def _measure(predictor: Predictor, logits: Array, outputs: Array) -> tuple[Array, Array]:
    task = cast(Labelled, predictor.task)
    answers = jnp.take_along_axis(task.predictions(logits), outputs[:, None], axis=-1)[:, 0]
    return task.evidence(logits, outputs), answers
