"""Figures from logits, by scikit-learn's definitions where it has one."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.metrics import log_loss, precision_recall_fscore_support, top_k_accuracy_score

from pipeline.evaluation import spans

BINS = 15  # of confidence, as in Guo et al. 2017
RESAMPLES = 2_000
ABSENT: Any = 0.0  # the precision of a class that is never predicted


def classification(
    probabilities: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], *, top: int = 3
) -> dict[str, Any]:
    """Loss in nats, accuracy with its 95 % interval, top-`top` accuracy, averaged precision, recall and F1, calibration
    error. With `top` classes or fewer, top-`top` accuracy says nothing and is left out.
    """
    classes = np.arange(probabilities.shape[1])
    hits = probabilities.argmax(-1) == targets
    low, high = interval(hits)
    figures: dict[str, Any] = {
        "loss": float(log_loss(targets, probabilities, labels=classes)),
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
    }
    if len(classes) > top:
        figures[f"top_{top}_accuracy"] = float(top_k_accuracy_score(targets, probabilities, k=top, labels=classes))
    for average in ("macro", "weighted"):
        values: Any = precision_recall_fscore_support(
            targets, probabilities.argmax(-1), labels=classes, average=average, zero_division=ABSENT
        )
        figures[average] = dict(zip(("precision", "recall", "f1"), map(float, values[:3])))
    bins = calibration(probabilities.max(-1), hits)
    gaps = np.abs(bins["accuracy"].to_numpy() - bins["confidence"].to_numpy())
    figures["calibration_error"] = float(np.average(gaps, weights=bins["examples"].to_numpy()))
    return figures


def tagging(
    probabilities: Float[np.ndarray, "n k"],
    targets: Int[np.ndarray, " n"],
    starts: Int[np.ndarray, " m"],
    usual: Int[np.ndarray, " n"],
    labels: tuple[str, ...],
) -> dict[str, Any]:
    """Loss in nats and accuracy over words, with the 95 % interval over sentences; accuracy on words that training
    lacks, those whose `usual` tag is -1; and, for tags in IOB2, precision, recall and F1 of the spans.

    `labels` names the model's k classes, then the tags that training lacks. A word with one of those is an error; the
    loss, which is not defined for it, leaves it out.
    """
    guesses = probabilities.argmax(-1)
    hits, unseen = guesses == targets, usual < 0
    low, high = interval_of_groups(hits, starts)
    known = np.flatnonzero(targets < probabilities.shape[1])
    own = np.maximum(probabilities[known, targets[known]].astype(np.float64), 1e-30)
    figures: dict[str, Any] = {
        "words": len(targets),
        "words_with_unseen_tags": len(targets) - len(known),
        "loss": float(-np.log(own).mean()),
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "unseen": {"words": int(unseen.sum()), "accuracy": float(hits[unseen].mean()) if unseen.any() else 1.0},
    }
    if spans.are_iob2(labels):
        names = np.array(labels)
        cut = [slice(start, end) for start, end in zip(starts, starts[1:])]
        figures["spans"] = spans.scores(
            [names[targets[at]].tolist() for at in cut], [names[guesses[at]].tolist() for at in cut]
        )
    return figures


def most_confused(
    targets: Int[np.ndarray, " n"], guesses: Int[np.ndarray, " n"], *, classes: int, shown: int
) -> Int[np.ndarray, " s"]:
    """The classes that take part in the most mistakes, in their own order."""
    wrong = targets != guesses
    mistakes = np.bincount(np.concatenate([targets[wrong], guesses[wrong]]), minlength=classes)
    return np.sort(np.argsort(-mistakes, kind="stable")[:shown])


def per_class(
    probabilities: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], labels: tuple[str, ...]
) -> pd.DataFrame:
    """A row a class: its label, precision, recall, F1 and number of examples."""
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, probabilities.argmax(-1), labels=np.arange(len(labels)), zero_division=ABSENT
    )
    return pd.DataFrame({"label": labels, "precision": precision, "recall": recall, "f1": f1, "examples": support})


def calibration(confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"]) -> pd.DataFrame:
    """How often predictions of a certain confidence are right: a row for each bin that is not empty.

    The expected calibration error is the mean distance of the two, weighted by examples (Guo et al. 2017,
    arXiv:1706.04599).
    """
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": which, "confidence": confidence.astype(np.float64), "accuracy": hits})
    rows = table.groupby("bin").agg(
        confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), examples=("accuracy", "size")
    )
    return rows.reset_index(drop=True)


def interval_of_groups(hits: Bool[np.ndarray, " n"], starts: Int[np.ndarray, " m"]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean, drawing whole groups: the words of a sentence are not independent."""
    right, size = np.add.reduceat(hits, starts[:-1], dtype=np.int64), np.diff(starts)
    random = np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(size), len(size))
        means.append(right[drawn].sum() / size[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def interval(hits: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean (Efron 1979): what another test set of this size might have said.

    Resampling n hits with replacement and counting them is a draw from the binomial distribution. It speaks of the
    sampling of the test set, not of the seed of training.
    """
    n = len(hits)
    means = np.random.default_rng(0).binomial(n, hits.mean(), RESAMPLES) / n
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
