"""The associative scan against the recurrence, one step after the other."""

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.layers.linear_recurrence import parallel_scan, sequential_scan


def test_the_linear_recurrence_and_its_gradient():
    kept, entering = (jax.random.uniform(jax.random.key(i), (2, 13, 3)) for i in (0, 1))
    start = jax.random.normal(jax.random.key(2), (2, 3))

    def one_by_one(kept, entering, start):
        state, states = start, []
        for t in range(kept.shape[1]):
            state = kept[:, t] * state + entering[:, t]
            states.append(state)
        return jnp.stack(states, axis=1)

    assert np.allclose(parallel_scan(kept, entering, start), one_by_one(kept, entering, start), atol=1e-5)
    assert np.allclose(sequential_scan(kept, entering, start), one_by_one(kept, entering, start), atol=1e-5)
    found, expected = (
        jax.grad(lambda *args, f=f: jnp.sum(jnp.sin(f(*args))), argnums=(0, 1, 2))(kept, entering, start)
        for f in (parallel_scan, one_by_one)
    )
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b, atol=1e-5)
