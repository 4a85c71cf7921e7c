"""How well probabilities rank examples, one label against the rest: ROC and precision-recall curves, and what every
threshold gives. Axes: n examples, k labels.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.metrics import auc, precision_recall_curve, roc_curve

# Where curves are drawn: closer together where good models are, few false positives and a high recall.
FALSE_POSITIVES = np.linspace(0, 1, 101) ** 2
RECALLS = 1 - np.linspace(1, 0, 101) ** 2
THRESHOLDS = np.arange(1, 20) / 20


class Ranking(NamedTuple):
    """`scores` has a row a label: the areas under its ROC and its precision-recall curve, and its number of examples.
    The curves are those of `labels`, the ones that are ranked, at FALSE_POSITIVES and RECALLS.
    """

    scores: pd.DataFrame
    labels: list[str]
    true_positives: Float[np.ndarray, "k 101"]
    precisions: Float[np.ndarray, "k 101"]


def of_labels(
    probabilities: Float[np.ndarray, "n k"], truths: Bool[np.ndarray, "n k"], labels: tuple[str, ...]
) -> Ranking:
    """By scikit-learn's curves: areas are its roc_auc_score and average_precision_score. A label that no example has,
    or that all have, is ranked against nothing: its areas are empty.
    """
    ranked = [i for i, truth in enumerate(truths.T) if truth.any() and not truth.all()]
    rates, precisions = np.zeros((len(ranked), 101)), np.zeros((len(ranked), 101))
    areas = np.full((len(labels), 2), np.nan)
    for row, i in enumerate(ranked):
        false, true, _ = roc_curve(truths[:, i], probabilities[:, i])
        precision, recall, _ = precision_recall_curve(truths[:, i], probabilities[:, i])
        areas[i] = auc(false, true), -np.sum(np.diff(recall) * precision[:-1])
        rates[row] = np.interp(FALSE_POSITIVES, false, true)
        places = np.searchsorted(recall[::-1], RECALLS - 1e-12)  # the first point with that recall
        precisions[row] = precision[::-1][places]
    scores = pd.DataFrame(areas, columns=["roc_auc", "average_precision"])
    scores.insert(0, "label", labels)
    scores["examples"] = truths.sum(axis=0)
    return Ranking(scores, [labels[i] for i in ranked], rates, precisions)


def thresholds(
    probabilities: Float[np.ndarray, "n k"], truths: Bool[np.ndarray, "n k"], labels: tuple[str, ...]
) -> pd.DataFrame:
    """Of each label, what it means to give it from a threshold on: precision, recall, F1, the share of the others that
    get it too (false positive rate), and the share of all that get it.
    """
    rows = []
    for label, scores, truth in zip(labels, probabilities.T, truths.T):
        given = len(scores) - np.searchsorted(np.sort(scores), THRESHOLDS)
        right = truth.sum() - np.searchsorted(np.sort(scores[truth]), THRESHOLDS)
        table = {
            "label": label,
            "threshold": THRESHOLDS,
            "precision": right / np.maximum(given, 1),
            "recall": right / max(int(truth.sum()), 1),
            "f1": 2 * right / np.maximum(given + truth.sum(), 1),
            "false_positive_rate": (given - right) / max(int((~truth).sum()), 1),
            "given": given / max(len(scores), 1),
        }
        rows.append(pd.DataFrame(table))
    return pd.concat(rows, ignore_index=True)
