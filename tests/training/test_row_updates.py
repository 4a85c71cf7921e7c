"""The rows of a batch, each once, with the sum of its gradients."""

import jax.numpy as jnp

from pipeline.training import row_updates


def test_gradients_of_one_row_are_summed():
    ids, gradients = jnp.asarray([3, 1, 3, 3]), jnp.asarray([[1.0], [10.0], [100.0], [1000.0]])
    rows, summed = row_updates.distinct(ids, gradients, 5)
    assert rows.tolist() == [3, 1, 5, 5]
    assert summed[:2].tolist() == [[1101.0], [10.0]]
