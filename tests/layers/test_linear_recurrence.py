"""The associative scan against the recurrence, one step after the other."""

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.layers.linear_recurrence import parallel_scan, sequential_scan


def test_the_linear_recurrence_and_its_gradient():
    decay, inputs = (jax.random.uniform(jax.random.key(i), (2, 13, 3)) for i in (0, 1))
    initial_state = jax.random.normal(jax.random.key(2), (2, 3))

    def one_by_one(decay, inputs, initial_state):
        state, states = initial_state, []
        for t in range(decay.shape[1]):
            state = decay[:, t] * state + inputs[:, t]
            states.append(state)
        return jnp.stack(states, axis=1)

    arguments = decay, inputs, initial_state
    assert np.allclose(parallel_scan(*arguments), one_by_one(*arguments), atol=1e-5)
    assert np.allclose(sequential_scan(*arguments), one_by_one(*arguments), atol=1e-5)
    actual, expected = (
        jax.grad(lambda *args, f=f: jnp.sum(jnp.sin(f(*args))), argnums=(0, 1, 2))(*arguments)
        for f in (parallel_scan, one_by_one)
    )
    for a, b in zip(actual, expected, strict=True):
        assert np.allclose(a, b, atol=1e-5)
