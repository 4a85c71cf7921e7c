"""Metrics of examples with any number of labels, by scikit-learn's definitions. Axes: n examples, k labels."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score, coverage_error, precision_recall_curve

from pipeline.evaluation.metrics import QUANTILE, RESAMPLES


def thresholds(probabilities: Float[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """Of each label, the threshold with the highest F1: halfway between the probabilities that it separates. 0.5 for a
    label that no example has, or that all have.
    """
    chosen = np.full(targets.shape[1], 0.5)
    for k, (scores, actual) in enumerate(zip(probabilities.T, targets.T)):
        if actual.all() or not actual.any():
            continue
        precision, recall, cuts = precision_recall_curve(actual, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f1[:-1].argmax())
        below = scores[scores < cuts[best]]
        chosen[k] = (cuts[best] + below.max()) / 2 if below.size else cuts[best]
    return chosen


def figures(
    probabilities: Float[np.ndarray, "n k"],
    guesses: Bool[np.ndarray, "n k"],
    targets: Bool[np.ndarray, "n k"],
    baseline: Bool[np.ndarray, "n k"],
) -> dict[str, Any]:
    """Micro and macro precision, recall and F1, coverage error (how many of the likeliest labels must be taken to have
    all true ones, on average) where any example has a label, and the share of examples with all labels right. Intervals
    of 95 % are percentiles over resamples of the examples (Efron 1979, Annals of Statistics 7:1).
    """
    counts = np.stack([(guesses & targets), guesses, targets]).astype(float)  # 3 n k
    per_example, per_label = counts.sum(axis=2), counts.sum(axis=1)  # 3 n, 3 k
    random, resamples = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(targets), len(targets))
        resamples.append(_scores(per_example[:, rows].sum(axis=1))["f1"])
    low, high = np.quantile(resamples, (1 - QUANTILE, QUANTILE))
    macro = _scores(per_label)
    has_labels = targets.any(axis=1)
    return {
        "micro_f1": _scores(per_label.sum(axis=1))["f1"],
        "macro_f1": float(np.mean(macro["f1"])),
        "micro": {**_scores(per_label.sum(axis=1)), "f1_low": float(low), "f1_high": float(high)},
        "macro": {name: float(np.mean(value)) for name, value in macro.items()},
        **(
            {"coverage_error": float(coverage_error(targets[has_labels], probabilities[has_labels]))}
            if has_labels.any()
            else {}
        ),
        "exact_match": float((guesses == targets).all(axis=1).mean()),
        "baseline_micro_f1": _scores(np.stack([baseline & targets, baseline, targets]).sum(axis=(1, 2)))["f1"],
    }


def per_label(
    probabilities: Float[np.ndarray, "n k"],
    guesses: Bool[np.ndarray, "n k"],
    targets: Bool[np.ndarray, "n k"],
    thresholds: Float[np.ndarray, " k"],
    labels: tuple[str, ...],
) -> pd.DataFrame:
    """A row for each label."""
    scores = _scores(np.stack([guesses & targets, guesses, targets]).sum(axis=1).astype(float))
    precisions = [
        average_precision_score(actual, score) if actual.any() else 0.0
        for score, actual in zip(probabilities.T, targets.T)
    ]
    columns = {"label": labels, **scores, "average_precision": precisions, "threshold": thresholds}
    return pd.DataFrame({**columns, "examples": targets.sum(axis=0)})


def _scores(counts: Any) -> dict[str, Any]:
    """Precision, recall and F1 from the numbers of right, given and true labels; 0 where nothing is given or true."""
    right, given, true = counts
    scores = {
        "precision": right / np.maximum(given, 1),
        "recall": right / np.maximum(true, 1),
        "f1": 2 * right / np.maximum(given + true, 1),
    }
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in scores.items()}
