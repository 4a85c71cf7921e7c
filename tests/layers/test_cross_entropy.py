"""The loss of a large vocabulary, computed in chunks, against the plain formula on all logits at once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pipeline.layers import cross_entropy


def naive(x, table, targets, valid, smoothing):
    logits = x @ table.T
    wanted = (1 - smoothing) * jax.nn.one_hot(targets, len(table)) + smoothing / len(table)
    return jnp.sum(jnp.where(valid, optax.softmax_cross_entropy(logits, wanted), 0))


@pytest.mark.parametrize(
    ("n", "smoothing"),
    [(512, 0.0), (1_000, 0.1), *(pytest.param(n, 0.0, marks=pytest.mark.long) for n in (1, 300))],
)
def test_cross_entropy_in_chunks(n, smoothing, monkeypatch):
    """The loss and both gradients are those of all logits at once, also where the last chunk is not full."""
    monkeypatch.setattr(cross_entropy, "CPU_LOGITS", 1 << 12)  # chunks of 128
    x, table = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((n, 8), (37, 8))))
    targets = jax.random.randint(jax.random.key(2), (n,), 0, 37)
    valid = jax.random.bernoulli(jax.random.key(3), 0.8, (n,))

    def chunked(x, table):
        return cross_entropy.total(table, x, targets, valid, label_smoothing=smoothing)

    (loss, hits), (dx, dtable) = jax.value_and_grad(chunked, argnums=(0, 1), has_aux=True)(x, table)
    expected = jax.value_and_grad(naive, argnums=(0, 1))(x, table, targets, valid, smoothing)
    for actual, wanted in zip((loss, dx, dtable), (expected[0], *expected[1]), strict=True):
        assert np.allclose(actual, wanted, rtol=1e-4, atol=1e-4)
    guesses = (x @ table.T).argmax(-1)
    assert float(hits) == float(jnp.sum((guesses == targets) & valid))
    assert np.allclose(chunked(x, table)[0], loss, rtol=1e-6)
    scores = cross_entropy.token_scores(table, x, targets)
    assert np.allclose(jnp.sum(jnp.where(valid, scores.loss, 0)), naive(x, table, targets, valid, 0.0), rtol=1e-4)
    assert np.array_equal(scores.guess, guesses)
    assert np.allclose(scores.confidence, jax.nn.softmax(x @ table.T).max(-1), atol=1e-5)
