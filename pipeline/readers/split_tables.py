"""Examples -> one Parquet table for each split, with the columns id, content, label and source: where it was read; and
group and slices, if the source has those.

Examples are written as they are read, to a spool, and sorted into their splits when all have been seen: only their
hashes stay in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int, Int8

from pipeline.config import paths
from pipeline.readers import keys
from pipeline.readers.example import Example, Refused
from pipeline.readers.keys import KeyTable
from pipeline.readers.split import DROPPED, HELD_OUT, SPLITS

COLUMNS = {bytes: ("image", pa.binary()), str: ("text", pa.string()), tuple: ("words", pa.list_(pa.string()))}
ROWS = 5_000  # rows held in memory, and rows of a row group
ROW_BYTES = 32 << 20  # or this much content
WORD_BYTES = 10  # of a word, roughly


class TableWriter:
    """A Parquet file, written row group by row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        compression: Any = "zstd"
        if schema.names[1] == "image":  # PNG and JPEG are compressed already; raw pixels are read sooner as they are
            compression = {"source": "zstd"}
        self.schema, self.writer = schema, pq.ParquetWriter(path, schema, compression=compression)
        self.waiting = schema.empty_table()

    def add(self, rows: pa.Table) -> None:
        self.waiting = pa.concat_tables([self.waiting, rows])
        while end := self._first_group():
            self._write(end)

    def close(self) -> None:
        if len(self.waiting):
            self._write(len(self.waiting))
        self.writer.close()

    def _first_group(self) -> int:
        """The rows that make up a row group; 0 while there are too few."""
        total = np.cumsum(sizes(self.waiting.column(1).slice(0, ROWS)))
        end = int(np.searchsorted(total, ROW_BYTES)) + 1
        return end if end <= len(total) else ROWS if len(total) == ROWS else 0

    def _write(self, end: int) -> None:
        self.writer.write_table(self.waiting.slice(0, end).combine_chunks())
        self.waiting = self.waiting.slice(end)


def sizes(content: pa.ChunkedArray) -> Int[np.ndarray, " n"]:
    """Bytes of each image or text, roughly those of the words of each sentence."""
    if pa.types.is_list(content.type):
        return WORD_BYTES * pc.call_function("list_value_length", [content]).to_numpy()
    return pc.call_function("binary_length", [content]).to_numpy()


def write_spool(
    items: Iterable[Example | Refused],
    spool: Path,
    refuse: Callable[[str, str], None],
    duplicates: Literal["near", "exact"] = "near",
) -> tuple[KeyTable, list[Refused]]:
    """Writes the examples to `spool`, in order, and calls `refuse` with the place of each that cannot be used and the
    reason.

    Returns what decides each example's split, and those that only lack a label.
    """
    table = KeyTable()
    unlabelled: list[Refused] = []
    writer: TableWriter | None = None
    rows: list[dict[str, Any]] = []
    waiting = 0  # bytes of content in them
    for item in items:
        if isinstance(item, Refused):
            if item.unlabelled in HELD_OUT:  # the source may hide the labels of the whole split
                unlabelled.append(item)
            else:
                refuse(item.where, item.reason)
            continue
        writer = writer or TableWriter(spool, _schema(item))
        found = keys.of(item, duplicates)
        table.add(found)
        row = {"id": found.id, writer.schema.names[1]: item.content, "label": item.label, "source": item.where}
        rows.append(row | {"group": item.group} | ({"slices": item.slices} if item.slices else {}))
        waiting += len(item.content) * (WORD_BYTES if isinstance(item.content, tuple) else 1)
        if len(rows) == ROWS or waiting > ROW_BYTES:
            writer.add(pa.Table.from_pylist(rows, writer.schema))
            rows, waiting = [], 0
    if writer:
        writer.add(pa.Table.from_pylist(rows, writer.schema))
        writer.close()
    return table, unlabelled


def _schema(example: Example) -> pa.Schema:
    """The columns of a table with examples like this one."""
    label = pa.list_(pa.string())
    if isinstance(example.label, str):
        label = pa.string()
    elif isinstance(example.label, dict):
        label = pa.struct([(name, pa.float64()) for name in example.label])
    content = COLUMNS[type(example.content)]
    fields = [("id", pa.string()), content, ("label", label), ("source", pa.string())]
    if example.group is not None:
        fields.append(("group", pa.string()))
    if example.slices:
        fields.append(("slices", pa.struct([(name, pa.string()) for name in example.slices])))
    return pa.schema(fields)


def sources(spool: Path, rows: Int[np.ndarray, " m"]) -> Iterator[str]:
    """Where the examples of these rows, which are in order, were read."""
    if not len(rows):
        return
    for start, group in _groups(spool, ["source"]):
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(group))]
        yield from group.column(0).take(pa.array(here - start)).to_pylist()


def sort_spool(spool: Path, splits: Int8[np.ndarray, " n"]) -> dict[str, Counter[str]]:
    """Moves each spooled example to the table of its split, if it has one, and removes the spool. `splits` are places
    in SPLITS.

    Returns how often each label occurs in each split; numbers are not counted. A split without examples has no table.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in paths.SPLITS}
    for name in paths.SPLITS:
        paths.prepared(name).unlink(missing_ok=True)
    if not len(splits):
        return counts
    tables: dict[str, TableWriter] = {}
    for start, group in _groups(spool):
        here = splits[start : start + len(group)]
        for place in np.unique(here[here != DROPPED]):
            name = SPLITS[place]
            if name not in tables:
                tables[name] = TableWriter(paths.prepared(name), group.schema)
            part = group.take(pa.array(np.flatnonzero(here == place)))
            tables[name].add(part)
            counts[name].update(_label_counts(part.column("label")))
    for table in tables.values():
        table.close()
    spool.unlink()
    return counts


def _label_counts(labels: pa.ChunkedArray) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk in labels.chunks if not pa.types.is_struct(labels.type) else ():
        flat = chunk.flatten() if pa.types.is_list(labels.type) else chunk
        counts.update({row["values"]: row["counts"] for row in flat.value_counts().to_pylist()})
    return counts


def _groups(file: Path, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """The row groups of a Parquet file, each with the number of its first row."""
    reader, start = pq.ParquetFile(file), 0
    for number in range(reader.num_row_groups):  # iter_batches would read several ahead
        group = reader.read_row_group(number, columns)
        yield start, group
        start += len(group)
