"""Copies of a state: right for every kind of array, and no hindrance to what goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.training.checkpoints.snapshot import Snapshot

ARRAYS = {
    "weights": jnp.linspace(0, 1, 12).reshape(3, 4),
    "halves": jnp.linspace(0, 1, 5).astype(jnp.bfloat16),
    "key": jax.random.key_data(jax.random.key(1)),
    "step": jnp.int32(7),
    "yes or no": jnp.array([True, False]),
    "empty": jnp.zeros((0, 3)),
}


@pytest.mark.parametrize("reserved", [None, {}, ARRAYS, {"weights": jnp.zeros(2), "gone": jnp.zeros(3)}])
def test_every_array_comes_over_to_the_bit(reserved):
    snapshot = Snapshot()
    if reserved is not None:
        snapshot.reserve(reserved)
    for _ in range(2):
        copies = snapshot.take(ARRAYS)
        assert copies.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert copies[name].dtype == array.dtype
            np.testing.assert_array_equal(copies[name], np.asarray(array))


def test_the_next_state_is_computed_into_the_same_memory_and_the_copy_stays():
    snapshot, step = Snapshot(), jax.jit(lambda x: x + 1, donate_argnums=0)
    state = step(jnp.zeros(1_000_000))
    place = state.unsafe_buffer_pointer()
    copy = snapshot.take({"state": state})["state"]
    state = step(state)
    assert state.unsafe_buffer_pointer() == place
    assert (copy == 1).all()
    assert (np.asarray(state) == 2).all()
