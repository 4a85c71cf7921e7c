"""What in an input led the model to its prediction. For images: integrated gradients (Sundararajan, Taly, Yan 2017,
arXiv:1703.01365). For texts: occlusion, what the prediction loses without a token (Li, Monroe, Jurafsky 2016,
arXiv:1612.08220).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, UInt8

from pipeline.evaluation.predictor import Predictor, Tree, predict
from pipeline.examples.batch import PAD, Examples

STEPS = 64  # of the integral
EVALUATIONS = 128  # of the model for each text: a longer one is explained a few tokens at a time


class Occlusion(NamedTuple):
    """Part i of a text is `tokens[starts[i] : starts[i + 1]]`: by how much the target's logit falls without it."""

    starts: Int[np.ndarray, " _"]
    drops: Float[np.ndarray, " _"]


def occlusion(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    texts: Sequence[Integer[np.ndarray, " _"]],
    targets: Sequence[int],
) -> list[Occlusion]:
    """What each part of each text adds to the logit of the text's target. The whole text is explained, as `predict`
    takes it; parts are single tokens where the text has no more than EVALUATIONS.
    """
    parts = [_parts(len(tokens)) for tokens in texts]
    variants = [
        variant
        for tokens, starts in zip(texts, parts)
        for variant in (tokens, *(np.delete(tokens, slice(a, b)) for a, b in zip(starts, starts[1:])))
    ]
    if not variants:
        return []
    starts = np.cumsum([0, *map(len, variants)]).astype(np.int32)
    tokens = np.append(np.concatenate(variants), PAD)  # one at least, even if no text has any
    examples = Examples({"tokens": tokens}, np.zeros(len(variants), np.int32), starts)
    logits = predict(predictor, params, model_state, examples)
    firsts = np.cumsum([0, *map(len, parts)])  # a text has as many variants as its parts have borders
    return [
        Occlusion(borders, logits[first, target] - logits[first + 1 : first + len(borders), target])
        for first, borders, target in zip(firsts, parts, targets)
    ]


def _parts(size: int) -> Int[np.ndarray, " m"]:
    """The borders of at most EVALUATIONS parts of a text of `size` tokens."""
    step = max(1, -(-size // EVALUATIONS))
    return np.append(np.arange(0, size, step), size)


@partial(jax.jit, static_argnums=0)
def integrated_gradients(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    images: UInt8[Array | np.ndarray, "b h w c"],
    targets: Int[Array | np.ndarray, " b"],
) -> tuple[Float[Array, "b h w"], Float[Array, " b"]]:
    """How much each pixel adds to the logit of the target, measured from a black image; and the completeness error.

    The integral along the path is taken by the midpoint rule over 64 steps. By completeness, all pixels together add
    the difference between the two images' logits. The error is how far their sum is from that, as a logit.
    """
    values = jnp.asarray(images, jnp.float32)

    def logit(x: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        logits = predictor.model(params, model_state)(x)
        return jnp.take_along_axis(logits, jnp.asarray(targets)[:, None], axis=1)[:, 0]

    def step(total: Float[Array, "b h w c"], alpha: Float[Array, ""]) -> tuple[Float[Array, "b h w c"], None]:
        return total + jax.grad(lambda x: logit(x).sum())(values * alpha), None

    alphas = (jnp.arange(STEPS) + 0.5) / STEPS
    total, _ = jax.lax.scan(step, jnp.zeros_like(values), alphas)
    pixels = (values * total / STEPS).sum(-1)  # b h w
    difference = logit(values) - logit(jnp.zeros_like(values))  # b
    return pixels, jnp.abs(pixels.sum((1, 2)) - difference)
