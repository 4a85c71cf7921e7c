"""Labels that are likely wrong, by confident learning (Northcutt, Jiang, Chuang 2021, JAIR 70:1373) with cleanlab.

The model must not have seen the examples whose labels it doubts. A table has the columns `row`, of the example in its
split's table; `place`, of a word, else -1; `given`, `suggested`, and `score`: 0 is surely wrong, 1 surely right.
Axes: n examples or words, k labels, m borders of sentences.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from cleanlab import filter as confident
from cleanlab import rank
from cleanlab.multilabel_classification import filter as label_sets
from cleanlab.multilabel_classification import rank as set_rank
from cleanlab.regression import rank as number_rank
from jaxtyping import Bool, Float, Int, Integer

from pipeline.config import paths

WRITTEN = ["id", "source", "place", "given", "suggested", "score"]
COLUMNS = ["row", "place", "given", "suggested", "score"]
DEVIATIONS = 4.0  # of a robust normal distribution: a residual beyond is an outlier


def write(split: str, doubts: pd.DataFrame) -> None:
    """Writes label_errors_SPLIT.csv: the doubted labels with the places that they were read from."""
    to_csv(split, doubts, paths.EVALUATION / f"label_errors_{split}.csv")


def to_csv(split: str, doubts: pd.DataFrame, path: Path) -> None:
    table = pq.read_table(paths.prepared(split), columns=["id", "source"]).take(doubts["row"].to_numpy(int)).to_pandas()
    found = pd.concat([table, doubts.reset_index(drop=True)], axis=1)[WRITTEN]
    found.to_csv(path, index=False, lineterminator="\n", float_format="%.6g")


def of_labels(
    labels: tuple[str, ...], probabilities: Float[np.ndarray, "n k"], targets: Integer[np.ndarray, " n"]
) -> pd.DataFrame:
    """One label for each example, or for each word."""
    present = np.unique(targets)
    if len(present) < 2:
        return pd.DataFrame(columns=COLUMNS)
    names = np.array(labels, object)
    targets = np.searchsorted(present, targets)  # cleanlab wants each class to occur
    probabilities = probabilities[:, present] / np.maximum(probabilities[:, present].sum(1, keepdims=True), 1e-12)
    doubted = confident.find_label_issues(targets, probabilities, n_jobs=1, min_examples_per_class=0)
    scores = rank.get_label_quality_scores(targets, probabilities)
    rows = np.flatnonzero(doubted)
    rows = rows[np.argsort(scores[rows], kind="stable")]
    guesses = names[present[probabilities[rows].argmax(-1)]]
    return _table(rows, -1, names[present[targets[rows]]], guesses, scores[rows])


def of_label_sets(
    labels: tuple[str, ...],
    probabilities: Float[np.ndarray, "n k"],
    targets: Bool[np.ndarray, "n k"],
    thresholds: Float[np.ndarray, " k"],
) -> pd.DataFrame:
    """Any number of labels for each example."""
    given = [np.flatnonzero(row).tolist() for row in targets]
    doubted = label_sets.find_label_issues(given, probabilities, n_jobs=1, min_examples_per_class=0)
    scores = set_rank.get_label_quality_scores(given, probabilities)
    rows = np.flatnonzero(doubted)
    rows = rows[np.argsort(scores[rows], kind="stable")]
    names, guesses = np.array(labels, object), probabilities >= thresholds[None]
    as_text = [[", ".join(names[row]) for row in chosen[rows]] for chosen in (targets, guesses)]
    return _table(rows, -1, as_text[0], as_text[1], scores[rows])


def of_words(
    labels: tuple[str, ...],
    probabilities: Float[np.ndarray, "n k"],
    targets: Integer[np.ndarray, " n"],
    starts: Int[np.ndarray, " m"],
) -> pd.DataFrame:
    """A tag for each word: word by word, as cleanlab's token classification does. Tags that the model does not know are
    no errors of the labels: they are left out. `row` and `place` are of the sentence.
    """
    known = np.flatnonzero(targets < probabilities.shape[1])
    found = of_labels(labels, probabilities[known], targets[known])
    words = known[found["row"].to_numpy(int)]
    row = np.searchsorted(starts, words, side="right") - 1
    return found.assign(row=row, place=words - starts[row])


def of_numbers(
    titles: Sequence[str], values: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"]
) -> pd.DataFrame:
    """Numbers, by their residuals: those that a normal distribution as wide as the middle half would not have."""
    parts = []
    for title, found, given in zip(titles, values.T, targets.T):
        scores = number_rank.get_label_quality_scores(given, found, method="residual")
        gaps = np.abs(found - given - np.median(found - given))
        spread = 1.4826 * float(np.median(gaps))  # a normal distribution's standard deviation
        rows = np.flatnonzero(gaps > DEVIATIONS * spread) if spread else np.zeros(0, int)
        given_texts, texts = ([f"{title} {value:.4g}" for value in array[rows]] for array in (given, found))
        parts.append(_table(rows, -1, given_texts, texts, scores[rows]))
    return pd.concat(parts).sort_values("score", kind="stable", ignore_index=True)


def _table(rows: np.ndarray, place: int, given: Any, suggested: Any, scores: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(dict(zip(COLUMNS, (rows, place, given, suggested, scores))), columns=COLUMNS)
