"""Losses as sums over a batch. Axes: b batch, t words, k outputs."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from pipeline.examples.batch import Batch, LossSums


def cross_entropy(
    logits: Float[Array, "b *t k"],
    batch: Batch,
    *,
    label_smoothing: float = 0.0,
    class_weights: Float[Array | np.ndarray, " k"] | None = None,
) -> LossSums:
    """Cross-entropy in nats; the metric is accuracy. A target of k or more is a label that training lacks: it is never
    correct, and the loss, which is not defined for it, leaves it out.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2016, arXiv:1512.00567).
    """
    logits = logits.astype(jnp.float32)  # a bfloat16 log-sum-exp loses the small classes
    if label_smoothing:
        smoothed = optax.smooth_labels(_one_hot(batch.targets, logits.shape[-1]), label_smoothing)  # b *t k
        losses = optax.softmax_cross_entropy(logits, smoothed)  # b *t
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)  # b *t
    weights = jnp.ones_like(losses) if class_weights is None else jnp.asarray(class_weights)[batch.targets]  # b *t
    hits = logits.argmax(-1) == batch.targets  # b *t
    known = batch.valid & (batch.targets < logits.shape[-1])  # b *t
    return LossSums(
        loss=total(losses * weights, known),
        weight=total(weights, known),
        score=total(hits, batch.valid),
        score_weight=total(batch.valid, batch.valid),
    )


def binary_cross_entropy(
    logits: Float[Array, "b k"],
    batch: Batch,
    *,
    label_smoothing: float = 0.0,
    positive_weights: Float[Array | np.ndarray, " k"] | None = None,
) -> LossSums:
    """Cross-entropy in nats of each label, whose target is 0 or 1; the metric is F1 over all labels of all examples,
    with the threshold 0.5. A label that is there weighs `positive_weights`. Label smoothing mixes targets with 0.5.
    """
    logits, targets = logits.astype(jnp.float32), batch.targets.astype(jnp.float32)
    smoothed = targets * (1 - label_smoothing) + label_smoothing / 2
    losses = optax.sigmoid_binary_cross_entropy(logits, smoothed)  # b k
    weights = jnp.ones_like(losses)
    if positive_weights is not None:
        weights = 1 + targets * (jnp.asarray(positive_weights)[None] - 1)
    valid = jnp.broadcast_to(batch.valid[:, None], losses.shape)
    given = (logits > 0).astype(jnp.float32)
    return LossSums(
        loss=total(losses * weights, valid),
        weight=total(weights, valid),
        score=2 * total(given * targets, valid),
        score_weight=total(given + targets, valid),
    )


def regression(values: Float[Array, "b k"], batch: Batch, *, huber: bool) -> LossSums:
    """Half the squared error of standardised targets, or Huber's loss, which grows linearly beyond an error of 1 (Huber
    1964, Annals of Mathematical Statistics 35:73). The metric is R2, against the mean of the training split.
    """
    targets, values = batch.targets.astype(jnp.float32), values.astype(jnp.float32)
    losses = optax.huber_loss(values, targets) if huber else optax.l2_loss(values, targets)  # b k
    valid = jnp.broadcast_to(batch.valid[:, None], losses.shape)
    spread = total(targets**2, valid)  # about the mean, which is 0
    return LossSums(
        loss=total(losses, valid),
        weight=total(valid, valid),
        score=spread - total((values - targets) ** 2, valid),
        score_weight=spread,
    )


def total(x: Shaped[Array, "b ..."], where: Bool[Array, "b ..."]) -> Float[Array, ""]:
    """The sum of the elements that count, in float32."""
    return jnp.sum(x, where=where, dtype=jnp.float32)


def balanced(counts: Sequence[int]) -> Float[np.ndarray, " k"]:
    """A weight for each class, so that the examples of every class weigh the same in total, and the mean example 1.

    As `class_weight="balanced"` of scikit-learn (King and Zeng 2001): n / (k * n_class). `counts` are of the training
    split.
    """
    n = np.asarray(counts, np.float32)
    return n.sum() / (len(n) * np.maximum(n, 1))


def balanced_positives(counts: Sequence[int], examples: int) -> Float[np.ndarray, " k"]:
    """A weight for each label where it is there, so that the examples with it weigh as much as those without it."""
    n = np.asarray(counts, np.float32)
    return np.maximum(examples - n, 1) / np.maximum(n, 1)


def _one_hot(targets: Int[Array, "b *t"], classes: int) -> Float[Array, "b *t k"]:
    return (targets[..., None] == jnp.arange(classes).reshape((1,) * targets.ndim + (-1,))).astype(jnp.float32)
