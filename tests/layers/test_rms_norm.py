"""Normalisation by the root mean square."""

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.layers.rms_norm import rms_norm


def test_the_mean_square_becomes_one():
    x = np.asarray(3 * jax.random.normal(jax.random.key(0), (2, 5, 16)))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(rms_norm(jnp.asarray(x)), expected, rtol=1e-5)


def test_half_precision_is_normalised_in_float32():
    """The squares of these would overflow in float16."""
    assert np.allclose(rms_norm(jnp.full((1, 8), 1e4, jnp.float16)), 1, atol=1e-3)
