"""Answering only when sure: what share of answers is left, and how many of those are right (Geifman and El-Yaniv 2017,
arXiv:1705.08500). Axes: n targets, m borders of groups that are independent of each other.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from pipeline.evaluation import metrics

LEAST = 50  # validation answers above a threshold: the accuracy of fewer says little
WANTED = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)  # accuracies in the table
SHARES = np.linspace(0.05, 1, 20)  # of answers that are given, in the curve


def threshold(confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"], wanted: float) -> float | None:
    """The least confidence from which on answers reach the wanted accuracy; 0 where all of them do. None where none
    does, or fewer than LEAST answers would be left.

    It lies halfway to the answers below, so that rounding changes none.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_, right = confidence[order], hits[order].cumsum() / np.arange(1, len(hits) + 1)
    last = np.append(sorted_[1:] < sorted_[:-1], True)[: len(hits)]  # of those that are equally sure
    found = np.flatnonzero(last & (right >= wanted) & (np.arange(1, len(hits) + 1) >= LEAST))
    if not len(found):
        return None
    i = int(found[-1])
    return 0.0 if i + 1 == len(hits) else float((sorted_[i] + sorted_[i + 1]) / 2)


def reached(
    confidence: Float[np.ndarray, " n"],
    hits: Bool[np.ndarray, " n"],
    threshold: float,
    starts: Int[np.ndarray, " m"] | None = None,
) -> dict[str, Any]:
    """The share of answers from the threshold on (coverage), and their accuracy with its 95 % interval, which there is
    not where no answer is that sure.
    """
    sure = confidence >= threshold
    figures: dict[str, Any] = {"threshold": threshold, "coverage": float(sure.mean()), "examples": int(sure.sum())}
    if not sure.any():
        return figures
    if starts is None:
        low, high = metrics.interval(hits[sure])
    else:
        low, high = metrics.interval_of_groups(hits[sure], np.append(0, sure.cumsum())[starts])
    return figures | {"accuracy": float(hits[sure].mean()), "accuracy_low": low, "accuracy_high": high}


def curve(
    confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"], starts: Int[np.ndarray, " m"] | None = None
) -> pd.DataFrame:
    """Accuracy by the share of answers that are given, the surest first: a row for each of SHARES."""
    surest = np.sort(confidence)[::-1]
    places = np.unique(np.maximum(np.ceil(SHARES * len(surest)).astype(int), 1)) - 1
    rows = [reached(confidence, hits, float(surest[place]), starts) for place in places]
    return pd.DataFrame(rows).drop_duplicates("coverage")


def table(
    confidence: Float[np.ndarray, " n"],
    hits: Bool[np.ndarray, " n"],
    thresholds: dict[str, float | None],
    starts: Int[np.ndarray, " m"] | None = None,
) -> pd.DataFrame:
    """What the thresholds, which the validation split chose for the accuracies that are their names, reach here. A row
    without figures is of an accuracy that no threshold reached there.
    """
    columns = ["wanted", "threshold", "coverage", "examples", "accuracy", "accuracy_low", "accuracy_high"]
    rows = [
        {"wanted": float(wanted)} | ({} if cut is None else reached(confidence, hits, cut, starts))
        for wanted, cut in thresholds.items()
    ]
    return pd.DataFrame(rows, columns=columns).astype({"examples": "Int64"})
