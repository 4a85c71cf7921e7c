"""Causal attention against the plain formula; rotary positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.layers import attention
from pipeline.layers.attention import apply_rotary, causal_attention, rotary_angles


def plain_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(e)) v over all earlier tokens, with keys and values repeated for each query head."""
    k, v = (jnp.repeat(x, q.shape[2] // x.shape[2], axis=2) for x in (k, v))
    scores = jnp.einsum("bqhe,bkhe->bhqk", q, k) / np.sqrt(q.shape[-1])
    scores = jnp.where(np.tri(q.shape[1], dtype=bool)[None, None], scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhe->bqhe", jax.nn.softmax(scores), v)


@pytest.mark.parametrize(
    ("block", "kv_heads"),
    [(3, 2), (128, 4), *(pytest.param(*case, marks=pytest.mark.long) for case in [(3, 1), (7, 1), (7, 4), (128, 1)])],
)
def test_causal_attention_equals_the_formula(block, kv_heads, monkeypatch):
    """In value and in gradient; in blocks of queries, also where the last block is not full."""
    monkeypatch.setattr(attention, "BLOCK", block)
    q, k, v = (jax.random.normal(jax.random.key(i), (2, 7, h, 8)) for i, h in enumerate((4, kv_heads, kv_heads)))
    weights = jax.random.normal(jax.random.key(3), (2, 7, 4, 8))
    actual, expected = (
        jax.value_and_grad(lambda q, k, v, f=f: jnp.sum(f(q, k, v) * weights), argnums=(0, 1, 2))(q, k, v)
        for f in (causal_attention, plain_attention)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), actual, expected)
    np.testing.assert_allclose(causal_attention(q, k, v), plain_attention(q, k, v), rtol=1e-5, atol=1e-5)


def test_rotary_is_a_rotation_of_each_pair():
    x = jax.random.normal(jax.random.key(0), (2, 5, 3, 8))
    actual = np.asarray(apply_rotary(x, rotary_angles(jnp.arange(5)[None], 8)))
    for t in range(5):
        for i in range(4):
            angle = t / 10_000 ** (i / 4)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            pair = np.asarray(x)[:, t, :, [i, i + 4]]
            np.testing.assert_allclose(actual[:, t, :, [i, i + 4]], np.einsum("ij,jbh->ibh", turn, pair), atol=1e-5)


def test_products_of_rotated_vectors_depend_on_their_distance_alone():
    q, k = (jax.random.normal(jax.random.key(i), (1, 1, 2, 8)) for i in (0, 1))

    def product(at: int, other: int) -> jax.Array:
        one, two = (apply_rotary(x, rotary_angles(jnp.array([[p]]), 8)) for x, p in ((q, at), (k, other)))
        return jnp.sum(one * two, axis=-1)

    assert np.allclose(product(3, 1), product(103, 101), atol=1e-4)
    assert not np.allclose(product(3, 1), product(3, 2), atol=1e-3)


def test_calls_are_numbered_without_a_change_of_the_result():
    scales = [attention.numbered_scale(64, call) for call in range(100)]
    assert len(set(scales)) == 100
    assert {float(np.float32(scale)) for scale in scales} == {0.125}
