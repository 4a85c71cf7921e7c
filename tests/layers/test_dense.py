"""Value and gradients against the plain product's, alone and inside a compiled loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.layers.dense import FEW, matmul


@pytest.mark.parametrize("outputs", [1, 10, FEW, FEW + 1])
@pytest.mark.parametrize("in_loop", [False, True])
def test_it_equals_the_plain_product(outputs, in_loop):
    random = np.random.default_rng(0)
    shapes = (5, 2, 30), (30, outputs), (5, 2, outputs)
    x, kernel, weights = (jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes)

    def learn(f):
        def step(_, arguments):
            value, gradients = jax.value_and_grad(lambda *a: (f(*a) * weights).sum(), argnums=(0, 1))(*arguments)
            return jax.tree.map(lambda a, b: a - 0.01 * b * jnp.cos(value), arguments, gradients)

        return jax.jit(lambda *a: jax.lax.fori_loop(0, 3 if in_loop else 1, step, a))(x, kernel)

    np.testing.assert_allclose(matmul(x, kernel), x @ kernel, rtol=1e-6)
    for actual, expected in zip(learn(matmul), learn(jnp.matmul), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)
