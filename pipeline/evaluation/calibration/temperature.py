"""One number that logits are divided by, so that probabilities are as often right as they say (Guo et al. 2017,
arXiv:1706.04599). The order of the labels, and so the likeliest one, stays as it is. Axes: n targets, k labels.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.stats
from jaxtyping import Bool, Float, Int

LEAST = 100  # targets that a temperature is fitted on
BOUNDS = (0.1, 10.0)  # of a temperature
CHANCE = 0.05  # how often a temperature may seem to help where 1 is right


class Temperature(NamedTuple):
    """What was fitted. The losses are the mean of the validation split, in nats, at 1 and at `value`."""

    value: float
    before: float
    after: float
    why_one: str | None = None  # why the value is 1, where that was not fitted


def of_classes(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> Temperature:
    """By the log loss of one label each, as scikit-learn's CalibratedClassifierCV(method="temperature"). Targets of k
    or more, which training lacks, are left out.
    """
    known = targets < logits.shape[1]
    logits, targets = logits[known], targets[known]
    if not len(targets):
        return _fit(lambda temperature: 0.0, 0, errors=0)
    below = logits - logits.max(axis=1, keepdims=True)  # n k
    true = below[np.arange(len(targets)), targets].astype(np.float64)

    def loss(temperature: float) -> float:
        sums = np.exp(below / np.float32(temperature)).sum(axis=1, dtype=np.float64)
        return float(np.mean(np.log(sums) - true / temperature))

    return _fit(loss, len(targets), errors=int((true < 0).sum()))


def of_labels(logits: Float[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> Temperature:
    """By the mean log loss of the labels, each of which is there or not."""
    signed = np.where(targets, -logits, logits).astype(np.float64)  # n k: the loss is softplus of it

    def loss(temperature: float) -> float:
        return float(np.logaddexp(0, signed / temperature).sum(axis=1).mean()) if len(signed) else 0.0

    return _fit(loss, len(signed), errors=int((signed >= 0).sum()))


def _fit(loss: Callable[[float], float], targets: int, *, errors: int) -> Temperature:
    """The temperature with the least loss, if that is less than at 1 by more than chance: by a likelihood ratio test,
    where twice the gain in nats has a chi-squared distribution (Wilks 1938, Annals of Mathematical Statistics 9:60).
    """
    before = loss(1.0)

    def one(why: str) -> Temperature:
        return Temperature(1.0, before, before, why)

    if targets < LEAST:
        return one(f"there are {targets} validation targets, and a temperature needs {LEAST}")
    found = scipy.optimize.minimize_scalar(
        lambda x: loss(float(np.exp(x))), bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-4}
    )
    value, after = float(np.exp(found.x)), float(found.fun)
    if not targets * (before - after) > scipy.stats.chi2.ppf(1 - CHANCE, 1) / 2:
        return one("on the validation split, no other helps more than chance would")
    if value < 1 and not errors:  # the lower, the better, without an end
        return one("every validation target is right, which does not say how sure a model may be")
    return Temperature(value, before, after)
