"""What all classification has in common: a batch, and how logits are scored against it."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped


class Batch(NamedTuple):
    """`valid` is False where an example is padding: a last, short batch is padded, never dropped."""

    inputs: Shaped[Array, "b ..."]
    targets: Int[Array, " b"]
    valid: Bool[Array, " b"]


class Sums(NamedTuple):
    """Totals over examples, to be added up and divided once, by `weight`, at the end."""

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    weight: Float[Array, ""]


def score(logits: Float[Array, "b k"], batch: Batch, *, label_smoothing: float = 0.0) -> Sums:
    """Cross-entropy in nats, and hits.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2016, arXiv:1512.00567).
    """
    logits = logits.astype(jnp.float32)  # a bfloat16 log-sum-exp loses the small classes
    wanted = optax.smooth_labels(_one_hot(batch.targets, logits.shape[-1]), label_smoothing)  # b k
    losses = optax.softmax_cross_entropy(logits, wanted)  # b
    hits = logits.argmax(-1) == batch.targets  # b
    loss, correct, weight = (jnp.sum(x, where=batch.valid, dtype=jnp.float32) for x in (losses, hits, batch.valid))
    return Sums(loss, correct, weight)


def _one_hot(targets: Int[Array, " b"], classes: int) -> Float[Array, "b k"]:
    return (targets[:, None] == jnp.arange(classes)[None]).astype(jnp.float32)
