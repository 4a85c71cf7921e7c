"""The figure of each slice of a split, with its 95 % interval: by what examples are like, and by columns of the user's.

Axes: n answers.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float, Int

from pipeline.evaluation.failures.outcomes import Outcomes
from pipeline.evaluation.metrics import QUANTILE, wilson

FEW = 30  # independent examples: a slice with fewer says little
LEVELS = 100  # of a column, at most: the rarer values are one slice
QUARTERS = 4  # that numbers are put into
DISTINCT = 8  # a column with no more different numbers is not put into quarters
OTHER, EMPTY = "(others)", "(empty)"


class Rate(NamedTuple):
    figure: float
    low: float
    high: float


def rate(
    gained: Float[np.ndarray, " n"], possible: Float[np.ndarray, " n"], group: Int[np.ndarray, " n"], *, is_share: bool
) -> Rate:
    """The ratio of two sums, with its 95 % interval over groups: the variance of a ratio by linearisation (Cochran
    1977, Sampling Techniques, 6.3). Of a share it is Wilson's interval at the effective number of examples, as
    `metrics.interval_of_groups` has it; of other figures, Student's on the logarithm. One group alone has none: nan.
    """
    groups = np.unique(group, return_inverse=True)[1]
    tops, bottoms = np.bincount(groups, gained), np.bincount(groups, possible)
    count, total = len(tops), float(bottoms.sum())
    if not total:
        return Rate(np.nan, np.nan, np.nan)
    figure = float(tops.sum()) / total
    variance = float(((tops - figure * bottoms) ** 2).sum()) / max(count - 1, 1) * count / total**2
    quantile = float(scipy.stats.t.ppf(QUANTILE, max(count - 1, 1)))
    if is_share:
        effective = float(count)
        if 0 < figure < 1 and count > 1:
            few = float(scipy.stats.norm.ppf(QUANTILE)) / quantile
            effective = min(max(figure * (1 - figure) / max(variance, 1e-12) * few**2, 1.0), total)
        return Rate(figure, *wilson(figure, effective))
    if count < 2 or not figure:
        return Rate(figure, np.nan, np.nan)
    reach = float(np.exp(quantile * np.sqrt(variance) / figure))
    return Rate(figure, figure / reach, figure * reach)


def table(outcomes: Outcomes, traits: pd.DataFrame) -> pd.DataFrame:
    """A row for each slice: `by` and `value`, the numbers of answers and of independent groups, the figure and its
    interval, and whether there are few groups. The worst come first, by the better end of the interval.

    `traits` has a row for each example of the split. What has one value in all answers, or divides them as
    another column does, makes no slices.
    """
    columns = {name: _levels(values) for name, values in outcomes.slices.items()}
    is_number = [pd.api.types.is_numeric_dtype(dtype) for dtype in traits.dtypes]
    for name in [*traits.columns[~np.array(is_number)], *traits.columns[is_number]]:
        columns[str(name)] = _levels(traits[name].to_numpy())[outcomes.example]
    rows, known = [], []
    for name, values in columns.items():
        codes, levels = pd.factorize(values)
        if any(np.array_equal(codes, other) for other in known):  # factorize numbers values as they come
            continue
        known.append(codes)
        order = np.argsort(codes, kind="stable")
        borders = np.searchsorted(codes[order], np.arange(len(levels) + 1))
        for i, level in enumerate(levels) if len(levels) > 1 else ():
            own = order[borders[i] : borders[i + 1]]
            groups = len(np.unique(outcomes.group[own]))
            found = rate(
                outcomes.gained[own], outcomes.possible[own], outcomes.group[own], is_share=outcomes.measure.is_share
            )
            rows.append((name, level, len(own), groups, *found, groups < FEW))
    names = ["by", "value", "answers", "groups", outcomes.measure.name, "low", "high", "few"]
    slices = pd.DataFrame(rows, columns=names)
    better = slices["high"] if outcomes.measure.is_share else -slices["low"]
    order = np.argsort(better.fillna(np.inf).to_numpy(), kind="stable")
    return slices.iloc[order].reset_index(drop=True)


def _levels(values: np.ndarray) -> np.ndarray:
    """The names of the slices that values fall into: numbers in quarters, the rare ones of many texts in one."""
    parsed: Any = pd.to_numeric(pd.Series(values, dtype=object).replace("", None), errors="coerce")
    numbers = np.asarray(parsed, float)
    is_missing = pd.isna(pd.Series(values, dtype=object).replace("", None)).to_numpy()
    if not np.isnan(numbers[~is_missing]).any() and len(np.unique(numbers[~is_missing])) > DISTINCT:
        return _quarters(numbers, is_missing)
    texts = np.array([EMPTY if missing else str(value) for value, missing in zip(values, is_missing)], object)
    codes, levels = pd.factorize(texts)
    counts = np.bincount(codes, minlength=len(levels))
    if len(levels) > LEVELS:
        kept = np.zeros(len(levels), bool)
        kept[np.argsort(-counts, kind="stable")[: LEVELS - 1]] = True
        texts = np.where(kept[codes], texts, OTHER)
    return texts


def _quarters(numbers: Float[np.ndarray, " n"], is_missing: np.ndarray) -> np.ndarray:
    """Ranges that hold about as many of the numbers each."""
    known = numbers[~is_missing]
    borders = np.unique(np.quantile(known, np.linspace(0, 1, QUARTERS + 1), method="nearest"))
    number = np.clip(np.searchsorted(borders, numbers, side="right") - 1, 0, max(len(borders) - 2, 0))
    last = len(borders) - 2
    texts = [f"{border:.3g}" if abs(border) < 1000 else f"{border:,.0f}" for border in borders]
    if len(set(texts)) < len(texts):
        texts = [repr(border) for border in borders.tolist()]
    names = [f"{texts[i]} to {'' if i == last else 'under '}{texts[i + 1]}" for i in range(last + 1)] or texts
    return np.where(is_missing, EMPTY, np.array(names, object)[number])
