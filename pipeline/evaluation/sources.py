"""Examples as prepare wrote them: where each was read, and its own text or image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config import paths


def of(split: str) -> np.ndarray:
    """The file, row or member of an archive that each example of a split was read from, in order."""
    return pq.read_table(paths.prepared(split), columns=["source"])["source"].to_numpy()


def columns(split: str) -> dict[str, np.ndarray]:
    """The same as a column, with that of the groups if the source has any: examples of one are alike."""
    names = [name for name in ("source", "group") if name in pq.read_schema(paths.prepared(split)).names]
    table = pq.read_table(paths.prepared(split), columns=names)
    return {name: table[name].to_numpy() for name in names}


def examples(split: str, rows: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """These rows of a split, in this order. At most one row group is in memory."""
    file, found, start = pq.ParquetFile(paths.prepared(split)), dict[int, dict[str, Any]](), 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        here = [row for row in rows if start <= row < start + size]
        if here:
            table = file.read_row_group(group, columns=list(columns))
            found |= zip(here, table.take([row - start for row in here]).to_pylist())
        start += size
    return [found[row] for row in rows]
