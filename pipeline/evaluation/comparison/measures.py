"""Metrics as functions of sums over examples, so that resampling a test split is one product of matrices.

Axes: n rows of a table of predictions, q sums that a metric needs, k labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int

Parts: TypeAlias = Any  # n q: an array, or a sparse one where most of it is 0


@dataclass(frozen=True)
class Measure:
    """A metric of one model: `score` makes it from the sums of `parts` over the rows, along the last axis."""

    name: str
    rises: bool  # more is better
    parts: Parts
    score: Callable[[Any], Any]  # of sums, any shape and then q: that shape
    hits: Bool[np.ndarray, " n"] | None = None  # of a share of right answers: which rows are right

    @property
    def value(self) -> float:
        return float(self.score(np.asarray(self.parts.sum(axis=0), np.float64)))

    def take(self, rows: Int[np.ndarray, " m"]) -> "Measure":
        return replace(self, parts=self.parts[rows], hits=None if self.hits is None else self.hits[rows])


def mean(
    name: str,
    values: Float[np.ndarray, " n"],
    sizes: Float[np.ndarray, " n"] | None = None,
    *,
    rises: bool = False,
    root: bool = False,
) -> Measure:
    """The sum of `values` over the sum of `sizes`, which are 1 unless given; or the square root of that."""
    parts = np.stack([values, np.ones(len(values)) if sizes is None else sizes], axis=1).astype(np.float64)

    def score(sums: Any) -> Any:
        ratio = sums[..., 0] / np.maximum(sums[..., 1], 1e-12)
        return np.sqrt(ratio) if root else ratio

    return Measure(name, rises, parts, score)


def share(name: str, hits: Bool[np.ndarray, " n"]) -> Measure:
    """The share of rows that are right."""
    return replace(mean(name, hits.astype(np.float64), rises=True), hits=hits)


def macro_f1(guesses: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"], labels: int) -> Measure:
    """The mean over the labels of their F1, as scikit-learn's: 0 for a label that is neither there nor predicted."""
    one_hot: Any = scipy.sparse.eye_array(labels, format="csr")
    guessed, true = one_hot[guesses], one_hot[targets]
    return _macro_f1(guessed.multiply(true), guessed, true)


def macro_f1_of_many(guesses: Bool[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> Measure:
    """The same where a row may have any number of labels."""
    return _macro_f1(*(scipy.sparse.csr_array(x.astype(float)) for x in (guesses & targets, guesses, targets)))


def micro_f1(name: str, right: np.ndarray, guessed: np.ndarray, true: np.ndarray) -> Measure:
    """F1 from how many labels, or spans, of each row are right, are guessed and are there (n each)."""
    parts = np.stack([right, guessed, true], axis=1).astype(np.float64)
    return Measure(name, True, parts, lambda sums: _f1(sums[..., 0], sums[..., 1] + sums[..., 2]))


def _macro_f1(right: Parts, guessed: Parts, true: Parts) -> Measure:
    parts = scipy.sparse.hstack([right, guessed + true], format="csr")

    def score(sums: Any) -> Any:
        found, either = np.split(sums, 2, axis=-1)
        return _f1(found, either).mean(axis=-1)

    return Measure("macro F1", True, parts, score)


def _f1(right: Any, guessed_and_true: Any) -> Any:
    return 2 * right / np.maximum(guessed_and_true, 1e-12)
