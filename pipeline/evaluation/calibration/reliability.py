"""How far probabilities are from what happens: Brier score, expected calibration error, the reliability diagram.

Axes: n targets, k labels.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Integer

BINS = 15  # of confidence, as in Guo et al. 2017


def bins(confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"]) -> pd.DataFrame:
    """How often predictions of a certain confidence are right: a row for each bin that is not empty, with its number
    of examples.
    """
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": numbers, "confidence": confidence.astype(np.float64), "accuracy": hits})
    rows = table.groupby("bin").agg(
        confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), examples=("accuracy", "size")
    )
    return rows.reset_index(drop=True)


def ece(confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"]) -> float:
    """The expected calibration error: the mean distance between confidence and accuracy, weighted by examples (Guo et
    al. 2017, arXiv:1706.04599).
    """
    rows = bins(confidence, hits)
    gaps = (rows["accuracy"] - rows["confidence"]).abs()
    return float(np.average(gaps.to_numpy(), weights=rows["examples"].to_numpy()))


def brier(probabilities: Float[np.ndarray, "n k"], targets: Integer[np.ndarray, " n"]) -> float:
    """The mean squared distance between probabilities and the truth (Brier 1950, Monthly Weather Review 78:1), from 0
    to 2; of two labels half of it, the usual score from 0 to 1, as scikit-learn's brier_score_loss.
    """
    true = probabilities[np.arange(len(targets)), targets]
    scores = (probabilities**2).sum(axis=1) - 2 * true + 1
    return float(scores.mean()) / (2 if probabilities.shape[1] == 2 else 1)


def brier_of_labels(probabilities: Float[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> float:
    """The mean over the labels of their Brier scores."""
    return float(((probabilities - targets) ** 2).mean())
