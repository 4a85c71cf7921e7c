"""Figures of the validation split that an epoch may be chosen by, besides those that training sums up over batches."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int


def macro_f1(guesses: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"], labels: int) -> float:
    """The mean over the labels of their F1; 0 for a label that neither occurs nor is predicted, as scikit-learn's."""
    one_hot = np.arange(labels)[None]
    return macro_f1_of_many(guesses[:, None] == one_hot, targets[:, None] == one_hot)


def macro_f1_of_many(guesses: Bool[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> float:
    """The same where an example may have any number of labels."""
    right, either = (guesses & targets).sum(axis=0), guesses.sum(axis=0) + targets.sum(axis=0)
    scores: Any = 2 * right / np.maximum(either, 1)
    return float(scores.mean())
