"""Causal attention and rotary positions. Axes: b batch, t time, h query heads, g key/value heads, e width of a head,
q queries, k keys, r query heads that share a key/value head.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pipeline.layers.precision import half_on_gpu

BLOCK = 128  # queries whose attention is computed together

Angles = tuple[Float[Array, "#b t 1 e2"], Float[Array, "#b t 1 e2"]]  # cosine and sine, for pairs of features


def causal_attention(
    q: Float[Array, "b t h e"], k: Float[Array, "b t g e"], v: Float[Array, "b t g e"], call: int = 0
) -> Float[Array, "b t h e"]:
    """softmax(q k^T / sqrt(e)) v, in which each token attends to itself and those before it. Each key/value head serves
    h / g query heads (grouped-query attention: Ainslie et al. 2023, arXiv:2305.13245).

    On a GPU in half precision it is cuDNN's kernel, which stores no t x t scores. Elsewhere the queries are taken in
    blocks, and no block computes the scores of keys that lie wholly after it.

    A program that calls it several times numbers the calls: see `numbered_scale`.
    """
    if half_on_gpu(q.dtype):
        scale = numbered_scale(q.shape[-1], call)
        return jax.nn.dot_product_attention(q, k, v, scale=scale, is_causal=True, implementation="cudnn")
    (b, t, h, e), g = q.shape, k.shape[2]
    q = q.reshape(b, t, g, h // g, e).transpose(0, 2, 3, 1, 4) * e**-0.5  # b g r t e
    k, v = (x.transpose(0, 2, 1, 3) for x in (k, v))  # b g t e
    blocks = []
    for start in range(0, t, BLOCK):
        end = min(start + BLOCK, t)
        scores = jnp.einsum("bgrqe,bgke->bgrqk", q[:, :, :, start:end], k[:, :, :end]).astype(jnp.float32)
        visible = jnp.arange(end)[None] <= jnp.arange(start, end)[:, None]  # q k
        scores = jnp.where(visible[None, None, None], scores, -jnp.inf)
        # The softmax is divided by its sum only after the product with the values: one pass less over the scores.
        weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
        sums = jnp.einsum("bgrqk,bgke->bgrqe", weights.astype(v.dtype), v[:, :, :end])
        blocks.append(sums / weights.sum(-1, keepdims=True).astype(v.dtype))
    return jnp.concatenate(blocks, axis=3).transpose(0, 3, 1, 2, 4).reshape(b, t, h, e)


def numbered_scale(width: int, call: int) -> float:
    """1 / sqrt(width), another number for each call: equal once cuDNN has rounded it to float32.

    XLA finds the compiled kernel of a call by its settings, and fails for the second of two equal gradients where sums
    must have a fixed order (https://github.com/openxla/xla/pull/46500). So no two calls of a program may be equal.
    """
    return width**-0.5 * (1 + call * 2.0**-40)


def rotary_angles(positions: Int[Array, "#b t"], width: int) -> Angles:
    """The angles by which rotary embedding (Su et al. 2021, arXiv:2104.09864) turns the pairs of features of a head of
    this width: at position p, pair i by p / 10,000^(i / (width / 2)).
    """
    half = width // 2
    frequencies = 10_000.0 ** (-jnp.arange(half) / half)  # e/2
    angles = (positions[:, :, None] * frequencies[None, None])[:, :, None]  # b t 1 e/2
    return jnp.cos(angles), jnp.sin(angles)


def apply_rotary(x: Float[Array, "b t h e"], angles: Angles) -> Float[Array, "b t h e"]:
    """Queries or keys, turned so that their products depend on relative positions alone. Feature i is paired with
    feature i + e/2.
    """
    cos, sin = (a.astype(x.dtype) for a in angles)
    left, right = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([left * cos - right * sin, left * sin + right * cos], axis=-1)
