"""Metrics of predictions, by scikit-learn's definitions where it has one.

Axes: n targets (examples, words or tokens), k classes, m borders of groups, d documents.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Int, Integer
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, top_k_accuracy_score

from pipeline.evaluation.calibration import reliability

TOKEN_GROUP = 1_000  # neighbouring tokens of a text, which are not independent: one group for the interval
ABSENT: Any = 0.0  # the precision of a class that is never predicted
RESAMPLES = 1_000  # of a bootstrap
QUANTILE = 0.975  # of a two-sided 95 % interval


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """In float64: a row sums to 1."""
    return scipy.special.softmax(logits.astype(np.float64), axis=-1)


def classification(
    probabilities: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], *, top: int = 3
) -> dict[str, Any]:
    """Loss in nats, Brier score, expected calibration error, accuracy with its 95 % interval, top-`top` accuracy, macro
    and weighted precision, recall and F1. With `top` classes or fewer, top-`top` accuracy is always 1 and is left out.
    """
    classes = np.arange(probabilities.shape[1])
    hits = probabilities.argmax(-1) == targets
    low, high = interval(hits)
    metrics: dict[str, Any] = {
        "loss": float(log_loss(targets, probabilities, labels=classes)),
        "brier": reliability.brier(probabilities, targets),
        "ece": reliability.ece(probabilities.max(-1), hits),
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
    }
    if len(classes) > top:
        metrics[f"top_{top}_accuracy"] = float(top_k_accuracy_score(targets, probabilities, k=top, labels=classes))
    for average in ("macro", "weighted"):
        values: Any = precision_recall_fscore_support(
            targets, probabilities.argmax(-1), labels=classes, average=average, zero_division=ABSENT
        )
        metrics[average] = dict(zip(("precision", "recall", "f1"), map(float, values[:3])))
    return metrics | {"macro_f1": metrics["macro"]["f1"]}


def tagging(
    probabilities: Float[np.ndarray, "n k"],
    guesses: Int[np.ndarray, " n"],
    targets: Int[np.ndarray, " n"],
    starts: Int[np.ndarray, " m"],
    baseline: Int[np.ndarray, " n"],
) -> dict[str, Any]:
    """Loss in nats, Brier score, expected calibration error and accuracy over words, with the 95 % interval over
    sentences; accuracy on words that training lacks, those whose `baseline` tag is -1.

    Targets of k or more are tags that training lacks. A word with one of those is an error; loss and Brier score, which
    are not defined for it, leave it out.
    """
    hits, unseen = guesses == targets, baseline < 0
    low, high = interval_of_groups(hits, starts)
    known = np.flatnonzero(targets < probabilities.shape[1])
    likelihood = np.maximum(probabilities[known, targets[known]].astype(np.float64), 1e-30)
    metrics: dict[str, Any] = {
        "words": len(targets),
        "words_with_unseen_tags": len(targets) - len(known),
        "loss": float(-np.log(likelihood).mean()),
        "brier": reliability.brier(probabilities[known], targets[known]),
        "ece": reliability.ece(probabilities[np.arange(len(guesses)), guesses], hits),
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "unseen": {"words": int(unseen.sum())},
    }
    if unseen.any():
        metrics["unseen"]["accuracy"] = float(hits[unseen].mean())
    return metrics


def language_modelling(
    losses: Float[np.ndarray, " n"],
    tokens: Integer[np.ndarray, " n"],
    guesses: Int[np.ndarray, " n"],
    sizes: Int[np.ndarray, "d 2"],
    counts: Int[np.ndarray, " k"],
) -> dict[str, Any]:
    """Loss in nats a token, perplexity, bits a byte, nats a character, and accuracy with its 95 % interval.

    `sizes` holds each document's bytes and characters, `counts` how often training has each token. The baseline knows
    those counts, plus one, and nothing else.
    """
    total = float(losses.sum(dtype=np.float64))
    size, characters = sizes.sum(0).tolist()
    baseline = -np.log((counts + 1) / (counts.sum() + len(counts)))  # k
    hits = guesses == tokens
    low, high = interval_of_groups(hits, np.append(np.arange(0, len(hits), TOKEN_GROUP), len(hits)))
    return {
        "tokens": len(tokens),
        "characters": characters,
        "bytes": size,
        "loss": total / len(tokens),
        "perplexity": float(np.exp(min(total / len(tokens), 700.0))),
        "bits_per_byte": total / size / float(np.log(2)),
        "nats_per_character": total / characters,
        "baseline_nats_per_character": float(baseline[tokens].sum()) / characters,
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "baseline_accuracy": float((tokens == int(counts[1:].argmax()) + 1).mean()),
    }


def regression(values: Float[np.ndarray, " n"], targets: Float[np.ndarray, " n"], mean: float) -> dict[str, float]:
    """Mean absolute error and R2 with their 95 % intervals, root mean squared error; and the errors of a baseline that
    always answers `mean`, that of the training split. R2 is against the mean of these targets, as scikit-learn's.

    The intervals are percentiles over resamples of the examples (Efron 1979, Annals of Statistics 7:1).
    """
    errors, deviations = values - targets, targets - targets.mean()
    absolute, squared, spread = np.abs(errors), errors**2, deviations**2
    random = np.random.default_rng(0)
    resamples = []
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(errors), len(errors))
        total = (spread[rows].mean() - deviations[rows].mean() ** 2) if len(errors) > 1 else 0.0
        resamples.append((absolute[rows].mean(), 1 - squared[rows].mean() / max(total, 1e-30)))
    (mae_low, r2_low), (mae_high, r2_high) = np.quantile(resamples, (1 - QUANTILE, QUANTILE), axis=0)
    return {
        "mae": float(absolute.mean()),
        "mae_low": float(mae_low),
        "mae_high": float(mae_high),
        "rmse": float(np.sqrt(squared.mean())),
        "r2": float(1 - squared.sum() / max(spread.sum(), 1e-30)),
        "r2_low": float(r2_low),
        "r2_high": float(r2_high),
        "baseline_mae": float(np.abs(targets - mean).mean()),
        "baseline_rmse": float(np.sqrt(((targets - mean) ** 2).mean())),
    }


def per_class(guesses: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"], labels: tuple[str, ...]) -> pd.DataFrame:
    """Precision, recall, F1 and number of examples: a row for each of `labels`."""
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, guesses, labels=np.arange(len(labels)), zero_division=ABSENT
    )
    return pd.DataFrame({"label": labels, "precision": precision, "recall": recall, "f1": f1, "examples": support})


def most_confused(
    targets: Integer[np.ndarray, " n"], guesses: Int[np.ndarray, " n"], *, classes: int, shown: int
) -> Int[np.ndarray, " s"]:
    """The `shown` classes with the most errors, either as the target or as the prediction, in their own order."""
    wrong = targets != guesses
    errors = np.bincount(np.concatenate([targets[wrong], guesses[wrong]]), minlength=classes)
    return np.sort(np.argsort(-errors, kind="stable")[:shown])


def confusion(
    targets: Integer[np.ndarray, " n"], guesses: Int[np.ndarray, " n"], classes: Int[np.ndarray, " s"]
) -> Int[np.ndarray, "s s"]:
    """How often each of `classes` (rows) is predicted as each of them (columns)."""
    both = np.isin(targets, classes) & np.isin(guesses, classes)
    if not both.any():  # scikit-learn refuses an empty array
        return np.zeros((len(classes), len(classes)), int)
    return confusion_matrix(targets[both], guesses[both], labels=classes)


def interval(hits: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Wilson's 95 % interval of the share of hits among independent examples (Wilson 1927, JASA 22:209): never empty,
    not even where all are right. It covers the sampling of the test set, not the seed of training.
    """
    result = scipy.stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return float(result.low), float(result.high)


def interval_of_groups(hits: Bool[np.ndarray, " n"], starts: Int[np.ndarray, " m"]) -> tuple[float, float]:
    """As `interval`, where only groups are independent: the words of a sentence, say. Group i is
    `hits[starts[i] : starts[i + 1]]`.

    Wilson's interval at the effective sample size: the number of independent examples whose share would vary as much
    as this one does between groups, less what too few groups leave uncertain of that (Korn and Graubard 1998, Survey
    Methodology 24:193; with Wilson's interval: Franco et al. 2019, J. Survey Statistics and Methodology 7:334). Where
    all groups are wholly right, or wholly wrong, nothing is known of that variance, and each group counts once.
    """
    correct, size = np.diff(np.append(0, hits.cumsum())[starts]), np.diff(starts)
    groups, total = int((size > 0).sum()), int(size.sum())
    share = float(correct.sum() / total)
    effective = float(groups)
    if 0 < share < 1 and groups > 1:
        variance = float(((correct - share * size) ** 2).sum()) * groups / (groups - 1) / total**2
        few = float(scipy.stats.norm.ppf(QUANTILE) / scipy.stats.t.ppf(QUANTILE, groups - 1)) ** 2
        effective = min(max(share * (1 - share) / max(variance, 1e-12) * few, 1.0), float(total))
    return wilson(share, effective)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n` examples, which need be no whole number."""
    z = float(scipy.stats.norm.ppf(QUANTILE))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
