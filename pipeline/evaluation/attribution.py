"""Why the model said so: for images integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), for texts
what each token adds (Li, Monroe, Jurafsky 2016, arXiv:1612.08220).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.tasks import PAD

STEPS = 64
MULTIPLE = 64  # tokens


@partial(jax.jit, static_argnums=0)
def integrated_gradients(
    predictor: Predictor, params: Tree, model_state: Tree, images: Float[Array, "b h w c"], targets: Int[Array, " b"]
) -> tuple[Float[Array, "b h w"], Float[Array, " b"]]:
    """How much each pixel adds to the logit of the target, measured from a black image; and the error.

    The path's integral is taken by the midpoint rule over 64 steps. The error is what the sum of all pixels is off from
    the difference of the two logits, relative to it: near 0 where the steps are fine enough.
    """

    def logit(x: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        logits = predictor.model(params, model_state)(x)
        return jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]

    def step(total: Float[Array, "b h w c"], share: Float[Array, ""]) -> tuple[Float[Array, "b h w c"], None]:
        return total + jax.grad(lambda x: logit(x).sum())(images * share), None

    shares = (jnp.arange(STEPS) + 0.5) / STEPS
    total, _ = jax.lax.scan(step, jnp.zeros_like(images), shares)
    pixels = (images * total / STEPS).sum(-1)  # b h w
    difference = logit(images) - logit(jnp.zeros_like(images))  # b
    return pixels, jnp.abs(pixels.sum((1, 2)) - difference) / jnp.maximum(jnp.abs(difference), 1e-6)


def leave_one_out(
    predictor: Predictor, params: Tree, model_state: Tree, tokens: Int[np.ndarray, " t"], target: int
) -> Float[np.ndarray, " t"]:
    """By how much the logit of the target falls when a token is taken out of the text, for each token."""
    size = len(tokens)
    if not size:
        return np.zeros(0, np.float32)
    without = np.stack([np.append(np.delete(tokens, i), PAD) for i in range(size)])  # t t
    width = -(-size // MULTIPLE) * MULTIPLE  # texts of nearly one length share what is compiled
    rows = np.full((width + 1, width), PAD, np.int32)
    rows[0, :size], rows[1 : size + 1, :size] = tokens, without
    logits = np.asarray(_logits(predictor, params, model_state, jnp.asarray(rows)))[:, target]
    return logits[0] - logits[1 : size + 1]


@partial(jax.jit, static_argnums=0)
def _logits(predictor: Predictor, params: Tree, model_state: Tree, inputs: Int[Array, "b t"]) -> Float[Array, "b k"]:
    return predictor.model(params, model_state)(inputs)
