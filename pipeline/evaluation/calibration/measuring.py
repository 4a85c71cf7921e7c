"""How good probabilities and intervals are on a test split: figures, tables for `dvc plots`, and pictures.

`fitted` is what evaluation/calibration.json says. Axes: n targets, k labels, m borders of independent groups.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from pipeline.config import paths
from pipeline.evaluation import plots
from pipeline.evaluation.calibration import conformal, pictures, ranking, reliability, sure

CONFIDENCE, ACCURACY = "probability of the predicted label", "share of these that are right"
PROBABILITY, SHARE = "probability of a label", "share of these that have it"
BEFORE, AFTER = "without the temperature", "with the temperature"


def of_classes(
    split: str,
    plain: Float[np.ndarray, "n k"],
    probabilities: Float[np.ndarray, "n k"],
    guesses: Int[np.ndarray, " n"],
    targets: Int[np.ndarray, " n"],
    fitted: dict[str, Any],
    starts: Int[np.ndarray, " m"] | None = None,
) -> dict[str, Any]:
    """Of one label each, without the temperature (`plain`) and with it: what differs, and what sure answers reach."""
    hits, rows = guesses == targets, np.arange(len(guesses))
    before, after = plain[rows, guesses], probabilities[rows, guesses]
    known = targets < probabilities.shape[1]
    true = np.maximum(plain[known, targets[known]], 1e-30)
    figures: dict[str, Any] = {
        "temperature": fitted["temperature"],
        "uncalibrated": {
            "loss": float(-np.log(true).mean()),
            "brier": reliability.brier(plain[known], targets[known]),
            "ece": reliability.ece(before, hits),
        },
    }
    sure.table(after, hits, fitted["thresholds"], starts).to_csv(
        paths.EVALUATION / f"sure_{split}.csv", index=False, lineterminator="\n"
    )
    if (chosen := fitted["sure"]) and chosen["threshold"] is not None:
        reached = sure.reached(after, hits, chosen["threshold"], starts)
        figures["sure"] = {"wanted": chosen["accuracy"], **reached}
        _print_sure(split, figures["sure"])
    if split == "test":
        curve = sure.curve(after, hits, starts)
        curve.to_csv(paths.COVERAGE, index=False, lineterminator="\n")
        plots.save(pictures.coverage(curve, "targets"), paths.IMAGES / "coverage.png")
        write_reliability(after, hits, before if fitted["temperature"] != 1 else None)
    return figures


def write_reliability(
    after: Float[np.ndarray, " n"],
    hits: Bool[np.ndarray, " n"],
    before: Float[np.ndarray, " n"] | None = None,
    *,
    x: str = CONFIDENCE,
    y: str = ACCURACY,
) -> None:
    """The reliability diagram: a picture, and its bins as a table; those `before` the temperature, if there is one, in
    a table of their own, which no plot of several runs needs.
    """
    bins = reliability.bins(after, hits)
    bins.to_csv(paths.CALIBRATION, index=False, lineterminator="\n")
    panels = {"": bins}
    if before is not None:
        panels = {BEFORE: reliability.bins(before, hits), AFTER: bins}
        panels[BEFORE].to_csv(paths.EVALUATION / "uncalibrated.csv", index=False, lineterminator="\n")
    plots.save(pictures.reliability(panels, x, y), paths.IMAGES / "calibration.png")


def ranks(
    split: str,
    probabilities: Float[np.ndarray, "n k"],
    truths: Bool[np.ndarray, "n k"],
    labels: tuple[str, ...],
    rarer: int | None = None,
) -> dict[str, float]:
    """The mean areas under the ROC and the precision-recall curve over the labels that some of the examples have, and
    some have not; none where there is no such label. The curves in the tables are their means as well; of two labels,
    that of the `rarer` one, since the other's is its mirror.
    """
    found = ranking.of_labels(probabilities, truths, labels)
    scores = found.scores
    scores.to_csv(paths.EVALUATION / f"ranking_{split}.csv", index=False, lineterminator="\n")
    ranking.thresholds(probabilities, truths, labels).to_csv(
        paths.EVALUATION / f"thresholds_{split}.csv", index=False, lineterminator="\n"
    )
    left_out = scores["label"][scores["roc_auc"].isna()]
    if len(left_out):
        named = ", ".join(map(repr, left_out[:3])) + (", ..." if len(left_out) > 3 else "")
        print(f"note: {split}: no example, or every one, has {named}: left out of the areas under the curves")
    if len(left_out) == len(labels):
        return {}
    if split == "test":
        plots.save(pictures.ranked(found), paths.IMAGES / "ranking.png")
        rows = slice(None) if rarer is None else [found.labels.index(labels[rarer])]
        for path, x, y, across, up in (
            (paths.ROC, ranking.FALSE_POSITIVES, found.true_positives, "false_positive_rate", "true_positive_rate"),
            (paths.PRECISION_RECALL, ranking.RECALLS, found.precisions, "recall", "precision"),
        ):
            table = pd.DataFrame({across: x, up: y[rows].mean(axis=0)})
            table.to_csv(path, index=False, lineterminator="\n")
    return {name: float(np.nanmean(scores[name].to_numpy())) for name in ("roc_auc", "average_precision")}


def of_labels(
    split: str,
    plain: Float[np.ndarray, "n k"],
    probabilities: Float[np.ndarray, "n k"],
    targets: Bool[np.ndarray, "n k"],
    temperature: float,
) -> dict[str, Any]:
    """Of any number of labels: the mean loss of a label in nats, Brier score and calibration error over all of them,
    with the temperature and without it.
    """

    def figures(p: Float[np.ndarray, "n k"]) -> dict[str, float]:
        true = np.where(targets, p, 1 - p)
        return {
            "loss": float(-np.log(np.maximum(true, 1e-30)).mean()),
            "brier": reliability.brier_of_labels(p, targets),
            "ece": reliability.ece(p.ravel(), targets.ravel()),
        }

    if split == "test":
        before = None if temperature == 1 else plain.ravel()
        write_reliability(probabilities.ravel(), targets.ravel(), before, x=PROBABILITY, y=SHARE)
    return {**figures(probabilities), "temperature": temperature, "uncalibrated": figures(plain)}


def of_numbers(
    split: str, errors: Float[np.ndarray, "n k"], titles: list[str], fitted: dict[str, Any]
) -> list[dict[str, Any]]:
    """Of each target, how many true values its interval holds."""
    if not (interval := fitted["interval"]):
        return [{} for _ in titles]
    figures = [conformal.covered(column, width) for column, width in zip(errors.T, interval["half_widths"])]
    for title, one in zip(titles, figures):
        share, low, high = (one[f"interval_coverage{end}"] for end in ("", "_low", "_high"))
        print(
            f"{split} {title}: the prediction +- {one['interval_width'] / 2:.4g}, the interval of "
            f"{interval['coverage']:g}, holds {share:.4f} of the true values (95 % interval {low:.4f} to {high:.4f})"
        )
    if split == "test":
        rows = conformal.diagram(fitted["half_widths"], errors)
        rows.to_csv(paths.CALIBRATION, index=False, lineterminator="\n")
        panel = pictures.reliability({"": rows}, "share that an interval is to hold", "share that it holds")
        plots.save(panel, paths.IMAGES / "calibration.png")
    return figures


def _print_sure(split: str, figures: dict[str, Any]) -> None:
    reached = "none is that sure"
    if "accuracy" in figures:
        low, high = figures["accuracy_low"], figures["accuracy_high"]
        reached = f"accuracy {figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"
    print(
        f"{split}: sure from a probability of {figures['threshold']:.3f} on, chosen on the validation split for an "
        f"accuracy of {figures['wanted']:g}: {figures['coverage']:.4f} of the answers, {reached}"
    )
