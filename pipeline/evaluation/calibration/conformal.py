"""Intervals of numbers by split conformal prediction. Axes: n examples, k targets."""

import math
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from pipeline.evaluation import metrics

LEVELS = (*(i / 10 for i in range(1, 10)), 0.95)  # of coverage, in the diagram


def half_widths(errors: Float[np.ndarray, "n k"], coverage: float) -> list[float | None]:
    """Of each target, how far around a prediction the interval goes that holds a share `coverage` of true values, at
    least, of examples like these: the ceil((n + 1) coverage)-th smallest absolute error (Vovk et al. 2005; Lei et al.
    2018, JASA 113:1094). None where there are too few examples for that.
    """
    rank = math.ceil((len(errors) + 1) * coverage - 1e-9)
    if rank > len(errors):
        return [None] * errors.shape[1]
    return np.sort(np.abs(errors), axis=0)[rank - 1].tolist()


def covered(errors: Float[np.ndarray, " n"], half_width: float) -> dict[str, Any]:
    """How many of the true values lie in the interval, with the share's own 95 % interval, and the interval's width."""
    inside = np.abs(errors) <= half_width
    low, high = metrics.interval(inside)
    share = float(inside.mean())
    figures = {"interval_coverage": share, "interval_coverage_low": low, "interval_coverage_high": high}
    return figures | {"interval_width": 2 * half_width}


def diagram(widths: dict[str, list[float | None]], errors: Float[np.ndarray, "n k"]) -> pd.DataFrame:
    """The coverage that was asked for, the names of the half widths, and the one that these examples have, over all
    targets: the columns of a reliability diagram.
    """
    rows = [
        {"confidence": float(level), "accuracy": (np.abs(errors) <= np.array(some, float)[None]).mean()}
        for level, some in widths.items()
        if None not in some
    ]
    return pd.DataFrame(rows, columns=["confidence", "accuracy"]).assign(examples=len(errors))
