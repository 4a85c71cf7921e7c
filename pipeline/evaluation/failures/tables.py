"""Where a model fails, as tables in evaluation/: what a report shows of them, and all the rest."""

from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.evaluation.dataset import traits
from pipeline.evaluation.failures import slices
from pipeline.evaluation.failures.outcomes import Outcomes


class Failures(NamedTuple):
    outcomes: Outcomes
    slices: pd.DataFrame
    traits: pd.DataFrame  # of each example of the split


def write(split: str, outcomes: Outcomes) -> Failures:
    """Writes slices_SPLIT.csv, mistakes_SPLIT.csv and, where there are labels, confused_SPLIT.csv."""
    found = traits.of(split)
    by_slice = slices.table(outcomes, found)
    _write(by_slice, f"slices_{split}")
    if outcomes.pairs is not None:
        _write(outcomes.pairs, f"confused_{split}")
    table, mistakes = pq.read_table(paths.prepared(split), columns=["id", "source"]), outcomes.mistakes
    places = table.take(mistakes["example"].to_numpy(int)).to_pandas()
    _write(pd.concat([places, mistakes[["place", "answer", "truth", "remark"]]], axis=1), f"mistakes_{split}")
    return Failures(outcomes, by_slice, found)


def _write(table: pd.DataFrame, name: str) -> None:
    table.to_csv(paths.EVALUATION / f"{name}.csv", index=False, lineterminator="\n", float_format="%.6g")
