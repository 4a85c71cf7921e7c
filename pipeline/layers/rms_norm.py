"""Normalisation by the root mean square (Zhang and Sennrich 2019, arXiv:1910.07467), without a gain."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-6


def rms_norm(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """x / sqrt(mean(x^2) + EPSILON) over the last axis; the mean is taken in float32."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(square + EPSILON).astype(x.dtype)
