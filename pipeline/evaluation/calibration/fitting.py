"""What the validation split says of a trained model's probabilities or numbers: evaluation/calibration.json.

Axes: n targets, k labels or targets of an example.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from jaxtyping import Bool, Float, Int

from pipeline.config.evaluation import EvaluationSettings
from pipeline.evaluation import metrics
from pipeline.evaluation.calibration import conformal, sure, temperature
from pipeline.evaluation.calibration.temperature import Temperature
from pipeline.runtime.errors import UserError

Probabilities = Float[np.ndarray, "n k"]


def of_classes(
    logits: Float[np.ndarray, "n k"],
    targets: Int[np.ndarray, " n"],
    settings: EvaluationSettings,
    decode: Callable[[Probabilities], Int[np.ndarray, " n"]],
) -> dict[str, Any]:
    """Of one label each: the temperature; and the thresholds from which on answers, which `decode` chooses, reach some
    accuracies.
    """
    check(logits)
    found = temperature.of_classes(logits, targets)
    _print(found, len(targets))
    probabilities = metrics.softmax(logits / found.value)
    guesses = decode(probabilities)
    confidence, hits = probabilities[np.arange(len(guesses)), guesses], guesses == targets
    cuts = {str(wanted): sure.threshold(confidence, hits, wanted) for wanted in sure.WANTED}
    return {"temperature": found.value, **_record(found, len(targets)), "thresholds": cuts} | {
        "sure": _chosen(settings.sure_accuracy, confidence, hits)
    }


def of_labels(logits: Float[np.ndarray, "n k"], targets: Bool[np.ndarray, "n k"]) -> tuple[dict[str, Any], Any]:
    """Of any number of labels: the temperature, and the probabilities with it."""
    check(logits)
    found = temperature.of_labels(logits, targets)
    _print(found, len(targets))
    record = {"temperature": found.value, **_record(found, len(targets))}
    return record, scipy.special.expit(logits.astype(np.float64) / found.value)


def of_numbers(errors: Float[np.ndarray, "n k"], settings: EvaluationSettings) -> dict[str, Any]:
    """Of numbers: half the width of each target's interval, and those for other shares than the one asked for."""
    widths = conformal.half_widths(errors, settings.interval)
    if None in widths:
        print(
            f"note: {len(errors)} validation examples are too few for intervals that hold {settings.interval:g} of the "
            "true values: predictions have none"
        )
    return {
        "examples": len(errors),
        "interval": None if None in widths else {"coverage": settings.interval, "half_widths": widths},
        "half_widths": {str(level): conformal.half_widths(errors, level) for level in conformal.LEVELS},
    }


def check(outputs: Float[np.ndarray, "n k"]) -> None:
    """Raises UserError where a network's outputs are no numbers."""
    if not np.isfinite(outputs).all():
        rows = int((~np.isfinite(outputs)).any(axis=1).sum())
        raise UserError(
            f"trained: the network's outputs for {rows:,} of {len(outputs):,} validation targets are not numbers: "
            "train again with a lower learning_rate, or with gradient_clip"
        )


def _record(found: Temperature, targets: int) -> dict[str, Any]:
    loss = {"before": found.before, "after": found.after}
    return {"validation": {"targets": targets, "loss": loss, "why_1": found.why_one}}


def _print(found: Temperature, targets: int) -> None:
    if found.why_one:
        print(f"probabilities stay as they are (temperature 1): {found.why_one}")
    else:
        print(
            f"temperature {found.value:.3f}, by which logits are divided: the loss of {targets:,} validation targets "
            f"falls from {found.before:.4f} to {found.after:.4f}"
        )


def _chosen(
    wanted: float | None, confidence: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"]
) -> dict[str, Any] | None:
    """The accuracy that sure answers are to have, and their threshold: None where no threshold reaches it, and no
    answer is sure.
    """
    if wanted is None:
        return None
    cut = sure.threshold(confidence, hits, wanted)
    if cut is None:
        print(
            f"note: no threshold reaches sure_accuracy, {wanted:g}, on {sure.LEAST} or more validation targets: no "
            "answer will be sure"
        )
    return {"accuracy": wanted, "threshold": cut}
