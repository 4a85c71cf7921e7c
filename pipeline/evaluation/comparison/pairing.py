"""Two sides, of one or several runs each, on the same examples of a test split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pipeline.evaluation.comparison import statistics
from pipeline.evaluation.comparison.predictions import Predictions
from pipeline.evaluation.comparison.statistics import Difference
from pipeline.runtime.errors import UserError

NAMED = 5  # labels of a message, at most


@dataclass(frozen=True)
class Comparison:
    """What can be said of side B against side A, on one test split."""

    a: tuple[Predictions, ...]  # the same rows in the same order, in all
    b: tuple[Predictions, ...]
    note: str  # what was left out
    clusters: int
    differences: tuple[Difference, ...]  # the headline first
    adjusted: tuple[float, ...]  # the p of the others, by Holm
    needed: tuple[int, int] | None  # clusters and runs that would show such a difference in the headline

    @property
    def headline(self) -> Difference:
        return self.differences[0]

    @property
    def fixed(self) -> Int[np.ndarray, " f"]:
        """The rows about which B is right and A wrong, or B less wrong; those that changed most come first."""
        return self._changed(-1)

    @property
    def broken(self) -> Int[np.ndarray, " f"]:
        return self._changed(1)

    def _changed(self, sign: int) -> Int[np.ndarray, " f"]:
        one, other = (mean(side, "wrong") for side in (self.a, self.b))
        doubt = mean(self.b, "doubt") - mean(self.a, "doubt")
        rows = np.flatnonzero(self._moved(one, other) == sign)
        change = other - one if self.a[0].graded else np.zeros(len(one))
        return rows[np.lexsort((-sign * doubt[rows], -sign * change[rows]))]

    def _moved(self, a: Float[np.ndarray, " l"], b: Float[np.ndarray, " l"]) -> Int[np.ndarray, " l"]:
        """-1 where B is less wrong than A, 1 where it is more so. Where answers are right or wrong, the runs of a side
        vote.
        """
        sign = np.sign(b - a).astype(int)
        return sign if self.a[0].graded else sign * ((a - 0.5) * (b - 0.5) < 0)

    @property
    def parts(self) -> pd.DataFrame:
        """By class or document: rows, how wrong each side is in all, rows fixed and broken, and the p of McNemar's
        test, adjusted for the number of classes; p is NaN where rows are graded or hang together, and with several
        runs, whose seeds it would leave out.
        """
        one, other = (np.mean([run.part.wrong for run in side], axis=0) for side in (self.a, self.b))
        moved = self._moved(one, other)
        table: Any = pd.DataFrame({"name": self.a[0].part.name, "a": one, "b": other})
        table = table.assign(rows=1, fixed=moved < 0, broken=moved > 0).groupby("name", as_index=False).sum()
        if self.a[0].graded or self.clusters < len(self.a[0].rows) or len(self.a) + len(self.b) > 2:
            return table.assign(p=np.nan)
        changed = zip(table["fixed"], table["broken"])
        return table.assign(p=statistics.holm([statistics.sign_test(int(f), int(b)) for f, b in changed]))

    def answer(self, side: Sequence[Predictions], row: int) -> str:
        """What a side says of a row: the answer that most of its runs give."""
        return str(pd.Series([run.rows["answer"].iat[row] for run in side]).mode().iat[0])


def compare(a: Sequence[Predictions], b: Sequence[Predictions], names: Sequence[str]) -> Comparison:
    """Pairs the rows by their keys and compares. `names` are what messages call the runs of both sides. Raises
    UserError where these are no predictions of the same labels on the same examples.
    """
    runs, note = [*a, *b], ""
    for name, run in zip(names, runs):
        if run.rows.empty:
            raise UserError(f"{name}: the test split is empty: there is nothing to compare")
        if set(run.labels) != set(runs[0].labels):
            raise UserError(f"{names[0]} and {name} choose from other labels: {_sets(runs[0].labels, run.labels)}")
    keys = [pd.Index(run.rows["key"]) for run in runs]
    least = min(range(len(keys)), key=lambda i: len(keys[i]))
    for name, own in zip(names, keys):
        shared = len(keys[least].intersection(own))
        if shared < len(keys[least]):
            raise UserError(
                f"{names[least]} and {name} were tested on other data: of {len(keys[least]):,} and {len(own):,} "
                f"{runs[0].unit}s they share {shared:,}"
            )
    if (most := max(map(len, keys))) > len(keys[least]):
        note = f"on the {len(keys[least]):,} {runs[0].unit}s that all have, of up to {most:,}"
    runs = [run.take(own.get_indexer(keys[least])) for run, own in zip(runs, keys)]
    for name, run in zip(names, runs):
        _refuse_other_truth(names[0], runs[0], name, run)
    clusters = pd.factorize(runs[0].rows["cluster"])[0]
    sides = runs[: len(a)], runs[len(a) :]
    differences = statistics.compare([run.measures for run in sides[0]], [run.measures for run in sides[1]], clusters)
    count = int(clusters.max()) + 1
    return Comparison(
        tuple(sides[0]),
        tuple(sides[1]),
        note,
        count,
        tuple(differences),
        tuple(statistics.holm([difference.p for difference in differences[1:]])),
        statistics.needed(differences[0], count, min(len(a), len(b))),
    )


def mean(side: Sequence[Predictions], name: str) -> Float[np.ndarray, " n"]:
    """The mean over a side's runs of `wrong` or `doubt`."""
    return np.mean([getattr(run, name) for run in side], axis=0)


def _refuse_other_truth(first: str, one: Predictions, name: str, other: Predictions) -> None:
    differ = np.flatnonzero((one.rows["true"] != other.rows["true"]).to_numpy())
    if differ.size:
        row = one.rows.iloc[differ[0]]
        raise UserError(
            f"{first} and {name}: {differ.size:,} of {len(one.rows):,} {one.unit}s have another true answer, such as "
            f"{row['source']}: {row['true']!r} and {other.rows['true'].iat[differ[0]]!r}"
        )


def _sets(one: Sequence[str], other: Sequence[str]) -> str:
    only = [sorted(set(one) - set(other)), sorted(set(other) - set(one))]
    texts = [", ".join(map(repr, found[:NAMED])) + (", ..." if len(found) > NAMED else "") for found in only]
    return f"{texts[0] or 'none'} in the first alone, {texts[1] or 'none'} in the second"
