"""The loss of every task with labels: cross-entropy over examples, or over words. Axes: b batch, t words, k classes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from pipeline.tasks.batch import Batch


class LossSums(NamedTuple):
    """Totals over targets, to be summed over batches and divided once: `loss` by `weight`, `correct` by `targets`."""

    loss: Float[Array, ""]
    weight: Float[Array, ""]
    correct: Float[Array, ""]
    targets: Float[Array, ""]


def score(
    logits: Float[Array, "b *t k"],
    batch: Batch,
    *,
    label_smoothing: float = 0.0,
    class_weights: Float[Array, " k"] | None = None,
) -> LossSums:
    """Cross-entropy in nats, and correct predictions. A target of k or more is a label that training lacks: it is never
    correct, and the loss, which is not defined for it, leaves it out.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2016, arXiv:1512.00567).
    """
    logits = logits.astype(jnp.float32)  # a bfloat16 log-sum-exp loses the small classes
    if label_smoothing:
        smoothed = optax.smooth_labels(_one_hot(batch.targets, logits.shape[-1]), label_smoothing)  # b *t k
        losses = optax.softmax_cross_entropy(logits, smoothed)  # b *t
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)  # b *t
    weights = jnp.ones_like(losses) if class_weights is None else class_weights[batch.targets]  # b *t
    hits = logits.argmax(-1) == batch.targets  # b *t
    known = batch.valid & (batch.targets < logits.shape[-1])  # b *t

    def total(x: Shaped[Array, "b *t"], where: Bool[Array, "b *t"]) -> Float[Array, ""]:
        return jnp.sum(x, where=where, dtype=jnp.float32)

    return LossSums(
        loss=total(losses * weights, known),
        weight=total(weights, known),
        correct=total(hits, batch.valid),
        targets=total(batch.valid, batch.valid),
    )


def balanced(counts: Sequence[int]) -> Float[np.ndarray, " k"]:
    """A weight for each class, so that the examples of every class weigh the same in total, and the mean example 1.

    As `class_weight="balanced"` of scikit-learn (King and Zeng 2001): n / (k * n_class). `counts` are of the training
    split.
    """
    n = np.asarray(counts, np.float32)
    return n.sum() / (len(n) * np.maximum(n, 1))


def _one_hot(targets: Int[Array, "b *t"], classes: int) -> Float[Array, "b *t k"]:
    return (targets[..., None] == jnp.arange(classes).reshape((1,) * targets.ndim + (-1,))).astype(jnp.float32)
