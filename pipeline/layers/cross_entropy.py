"""The cross-entropy of a large vocabulary, a chunk of tokens at a time: all logits at once would be most of the memory.

4,096 tokens of a vocabulary of 50,304 have 0.8 GiB of logits, and as much again for their gradient; a chunk has 0.1.
The gradient is made with the loss, while a chunk's logits are there: they are not computed a second time for it.
Axes: n tokens, d width, v vocabulary, c tokens of a chunk, m chunks.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

LOGITS, GPU_LOGITS = 1 << 25, 1 << 28  # in a chunk, at most: a GPU has both more memory and more to start for each one


Three = tuple[Array, Array, Array]


class TokenScores(NamedTuple):
    """Of each token: its loss in nats, the likeliest token in its place, and how likely that was."""

    loss: Float[Array, " n"]
    guess: Int[Array, " n"]
    confidence: Float[Array, " n"]


def each(table: Float[Array, "v d"], x: Float[Array, "n d"], targets: Int[Array, " n"]) -> TokenScores:
    """The scores of `targets` under the logits x table^T."""
    table = table.astype(x.dtype)
    chunks = _chunked(x, len(table)), _chunked(targets, len(table))

    def score(chunk: tuple[Array, Array]) -> TokenScores:
        logits = _logits(chunk[0], table)
        whole, top = jax.nn.logsumexp(logits, axis=-1), logits.max(-1)
        return TokenScores(whole - _own(logits, chunk[1]), logits.argmax(-1), jnp.exp(top - whole))

    return TokenScores(*(array.reshape(-1)[: len(x)] for array in jax.lax.map(score, chunks)))


def total(
    table: Float[Array, "v d"],
    x: Float[Array, "n d"],
    targets: Int[Array, " n"],
    valid: Bool[Array, " n"],
    *,
    label_smoothing: float = 0.0,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The sum of the losses in nats, and how often the likeliest token was the right one; of the valid tokens.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2016, arXiv:1512.00567).
    """
    return _total(table, x, targets, valid, label_smoothing)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _total(table: Array, x: Array, targets: Array, valid: Array, smoothing: float) -> tuple[Array, Array]:
    sums, _ = _summed(table, x, targets, valid, smoothing, gradient=False)
    return sums


def _forward(
    table: Array, x: Array, targets: Array, valid: Array, smoothing: float
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return _summed(table, x, targets, valid, smoothing, gradient=True)


def _backward(smoothing: float, saved: tuple[Array, Array], by: tuple[Array, Array]) -> tuple[Array, Array, None, None]:
    dtable, dx = saved
    return dtable * by[0], dx * by[0].astype(dx.dtype), None, None


_total.defvjp(_forward, _backward)


def _summed(
    table: Array, x: Array, targets: Array, valid: Array, smoothing: float, *, gradient: bool
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The sums and, if asked for, the gradients of the loss for table and x."""

    table = table.astype(x.dtype)  # once, and not in each chunk

    def add(carry: Three, chunk: Three) -> tuple[Three, Array]:
        loss, hits, dtable = carry
        x, targets, valid = chunk
        logits = _logits(x, table)  # c v
        whole = jax.nn.logsumexp(logits, axis=-1)  # c
        losses = whole - (1 - smoothing) * _own(logits, targets)
        if smoothing:
            losses -= smoothing * logits.mean(-1)
        hit = logits.argmax(-1) == targets
        dx = jnp.zeros((), x.dtype)
        if gradient:
            wanted = (1 - smoothing) * (targets[:, None] == jnp.arange(len(table))[None]) + smoothing / len(table)
            dlogits = jnp.where(valid[:, None], jnp.exp(logits - whole[:, None]) - wanted, 0).astype(x.dtype)  # c v
            dx = dlogits @ table
            dtable = dtable + jnp.einsum("cv,cd->vd", dlogits, x, preferred_element_type=jnp.float32)
        sums = (jnp.sum(y, where=valid, dtype=jnp.float32) for y in (losses, hit))
        return (loss + next(sums), hits + next(sums), dtable), dx

    zero = jnp.zeros((), jnp.float32)
    carry = (zero, zero, jnp.zeros(table.shape if gradient else (), jnp.float32))
    chunks = _chunked(x, len(table)), _chunked(targets, len(table)), _chunked(valid, len(table))
    (loss, hits, dtable), dx = jax.lax.scan(add, carry, chunks)
    return (loss, hits), (dtable, dx.reshape(-1, x.shape[-1])[: len(x)] if gradient else dx)


def chunk_size(vocabulary: int, *, gpu: bool) -> int:
    """Tokens, at most."""
    logits = GPU_LOGITS if gpu else LOGITS
    return max(128, 1 << (logits // vocabulary).bit_length() - 1)


def _chunked(array: Array, vocabulary: int) -> Array:
    """In chunks of equal size, the last one filled up with zeros: `m c ...`."""
    size = min(len(array), chunk_size(vocabulary, gpu=jax.default_backend() == "gpu"))
    chunks = -(-len(array) // size)
    filled = jnp.pad(array, [(0, chunks * size - len(array)), *[(0, 0)] * (array.ndim - 1)])
    return filled.reshape(chunks, size, *array.shape[1:])


def _logits(x: Array, table: Array) -> Array:
    return jnp.einsum("cd,vd->cv", x, table, preferred_element_type=jnp.float32)


def _own(logits: Array, targets: Array) -> Array:
    return jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
