"""Why the model said so: integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365)."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pipeline.learner import Learner, Tree

STEPS = 64


@partial(jax.jit, static_argnums=0)
def integrated_gradients(
    learner: Learner, params: Tree, rest: Tree, images: Float[Array, "b h w c"], targets: Int[Array, " b"]
) -> tuple[Float[Array, "b h w"], Float[Array, " b"]]:
    """How much each pixel adds to the logit of the target, measured from a black image; and the error.

    The path's integral is taken by the midpoint rule over 64 steps. The error is what the sum of all pixels is off from
    the difference of the two logits, relative to it: near 0 where the steps are fine enough.
    """

    def logit(x: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        logits = learner.model(params, rest)(x)
        return jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]

    def step(total: Float[Array, "b h w c"], share: Float[Array, ""]) -> tuple[Float[Array, "b h w c"], None]:
        return total + jax.grad(lambda x: logit(x).sum())(images * share), None

    shares = (jnp.arange(STEPS) + 0.5) / STEPS
    total, _ = jax.lax.scan(step, jnp.zeros_like(images), shares)
    pixels = (images * total / STEPS).sum(-1)  # b h w
    difference = logit(images) - logit(jnp.zeros_like(images))  # b
    return pixels, jnp.abs(pixels.sum((1, 2)) - difference) / jnp.maximum(jnp.abs(difference), 1e-6)
