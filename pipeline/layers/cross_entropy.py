"""The cross-entropy of a large vocabulary, in chunks of tokens: all logits at once would take most of the memory.

For 4,096 tokens and a vocabulary of 50,304 the logits are 0.8 GiB, and their gradient as much again; those of a chunk
are 0.1. The gradient is computed together with the loss, while a chunk's logits are there, so that they are computed
once. Axes: n tokens, d width, v vocabulary, c tokens of a chunk, m chunks.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# The most logits in a chunk. A GPU has more memory, and starting a computation costs it more.
CPU_LOGITS, GPU_LOGITS = 1 << 25, 1 << 28


class TokenScores(NamedTuple):
    """For each token: its loss in nats, the likeliest token in its place, and the probability of that one."""

    loss: Float[Array, " n"]
    guess: Int[Array, " n"]
    confidence: Float[Array, " n"]


def token_scores(table: Float[Array, "v d"], x: Float[Array, "n d"], targets: Int[Array, " n"]) -> TokenScores:
    """The scores of `targets` under the logits x table^T."""
    table = table.astype(x.dtype)
    chunks = _chunked(x, len(table)), _chunked(targets, len(table))

    def score(chunk: tuple[Array, Array]) -> TokenScores:
        x, targets = chunk
        logits = _logits(x, table)  # c v
        normalizer, top = jax.nn.logsumexp(logits, axis=-1), logits.max(-1)  # c
        return TokenScores(normalizer - _at_targets(logits, targets), logits.argmax(-1), jnp.exp(top - normalizer))

    return TokenScores(*(array.reshape(-1)[: len(x)] for array in jax.lax.map(score, chunks)))


def total(
    table: Float[Array, "v d"],
    x: Float[Array, "n d"],
    targets: Int[Array, " n"],
    valid: Bool[Array, " n"],
    *,
    label_smoothing: float = 0.0,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Over the valid tokens: the sum of the losses in nats, and how many times the likeliest token was the target.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2016, arXiv:1512.00567).
    """
    return _total(table, x, targets, valid, label_smoothing)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _total(table: Array, x: Array, targets: Array, valid: Array, smoothing: float) -> tuple[Array, Array]:
    sums, _ = _scan_chunks(table, x, targets, valid, smoothing, with_gradients=False)
    return sums


def _forward(
    table: Array, x: Array, targets: Array, valid: Array, smoothing: float
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return _scan_chunks(table, x, targets, valid, smoothing, with_gradients=True)


def _backward(
    smoothing: float, gradients: tuple[Array, Array], grad: tuple[Array, Array]
) -> tuple[Array, Array, None, None]:
    dtable, dx = gradients
    dloss, _ = grad
    return dtable * dloss, dx * dloss.astype(dx.dtype), None, None


_total.defvjp(_forward, _backward)


def _scan_chunks(
    table: Array, x: Array, targets: Array, valid: Array, smoothing: float, *, with_gradients: bool
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The sums of `total` and, `with_gradients`, the gradients of the loss for table and x."""
    table = table.astype(x.dtype)  # once, and not in each chunk

    def add(carry: tuple[Array, Array, Array], chunk: tuple[Array, Array, Array]) -> tuple[Any, Array]:
        loss, correct, dtable = carry
        x, targets, valid = chunk
        logits = _logits(x, table)  # c v
        normalizer = jax.nn.logsumexp(logits, axis=-1)  # c
        losses = normalizer - (1 - smoothing) * _at_targets(logits, targets)
        if smoothing:
            losses -= smoothing * logits.mean(-1)
        is_correct = logits.argmax(-1) == targets
        dx = jnp.zeros((), x.dtype)
        if with_gradients:
            one_hot = targets[:, None] == jnp.arange(len(table))[None]  # c v
            wanted = (1 - smoothing) * one_hot + smoothing / len(table)
            probabilities = jnp.exp(logits - normalizer[:, None])
            dlogits = jnp.where(valid[:, None], probabilities - wanted, 0).astype(x.dtype)
            dx = dlogits @ table  # c d
            dtable = dtable + jnp.einsum("cv,cd->vd", dlogits, x, preferred_element_type=jnp.float32)
        loss = loss + jnp.sum(losses, where=valid, dtype=jnp.float32)
        correct = correct + jnp.sum(is_correct, where=valid, dtype=jnp.float32)
        return (loss, correct, dtable), dx

    zero = jnp.zeros((), jnp.float32)
    sums = zero, zero, jnp.zeros(table.shape if with_gradients else (), jnp.float32)
    chunks = _chunked(x, len(table)), _chunked(targets, len(table)), _chunked(valid, len(table))
    (loss, correct, dtable), dx = jax.lax.scan(add, sums, chunks)
    return (loss, correct), (dtable, dx.reshape(-1, x.shape[-1])[: len(x)] if with_gradients else dx)


def chunk_size(vocabulary: int, *, gpu: bool) -> int:
    """The most tokens in a chunk."""
    logits = GPU_LOGITS if gpu else CPU_LOGITS
    return max(128, 1 << (logits // vocabulary).bit_length() - 1)


def _chunked(array: Array, vocabulary: int) -> Array:
    """In chunks of equal size, the last one padded with zeros: `m c ...`."""
    size = min(len(array), chunk_size(vocabulary, gpu=jax.default_backend() == "gpu"))
    chunks = -(-len(array) // size)
    padded = jnp.pad(array, [(0, chunks * size - len(array)), *[(0, 0)] * (array.ndim - 1)])
    return padded.reshape(chunks, size, *array.shape[1:])


def _logits(x: Array, table: Array) -> Array:
    return jnp.einsum("cd,vd->cv", x, table, preferred_element_type=jnp.float32)


def _at_targets(logits: Array, targets: Array) -> Array:
    return jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
