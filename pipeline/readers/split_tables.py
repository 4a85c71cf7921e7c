"""Examples -> one Parquet table for each split, with the columns id, content, label and source: where it was read; and
group and slices, if the source has those.

Examples are written as they are read, to a spool, and sorted into their splits when all have been seen: only their
hashes stay in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.readers import split
from pipeline.readers.example import Example, Refused
from pipeline.readers.split import HELD_OUT, Keys

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
        self.content = str(schema.names[1])
        self.rows: list[dict[str, Any]] = []
        self.bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        content = row[self.content]
        self.rows.append(row)
        self.bytes += len(content) if isinstance(content, bytes | str) else WORD_BYTES * len(content)
        if len(self.rows) >= ROWS or self.bytes >= ROW_BYTES:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
            self.rows, self.bytes = [], 0

    def close(self) -> None:
        self.flush()
        self.writer.close()


def write_spool(
    items: Iterable[Example | Refused],
    spool: Path,
    refuse: Callable[[str, str], None],
    duplicates: Literal["near", "exact"] = "near",
) -> tuple[list[Keys], list[str], list[Refused]]:
    """Writes the examples to `spool`, in order, and calls `refuse` with the place of each that cannot be used and the
    reason.

    Returns what decides each example's split, where it came from, and those that only lack a label.
    """
    keys: list[Keys] = []
    where: list[str] = []
    unlabelled: list[Refused] = []
    table: TableWriter | None = None
    for item in items:
        if isinstance(item, Refused):
            if item.unlabelled in HELD_OUT:  # the source may hide the labels of the whole split
                unlabelled.append(item)
            else:
                refuse(item.where, item.reason)
            continue
        table = table or TableWriter(spool, _schema(item))
        keys.append(split.keys(item, duplicates))
        where.append(item.where)
        row = {"id": keys[-1].id, table.content: item.content, "label": item.label, "source": item.where}
        more = {"slices": item.slices} if item.slices else {}
        table.add(row | {"group": item.group} | more)
    if table:
        table.close()
    return keys, where, unlabelled


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


def sort_spool(spool: Path, splits: list[str | None]) -> dict[str, Counter[str]]:
    """Moves each spooled example to the table of its split, if it has one, and removes the spool.

    Returns how often each label occurs in each split; numbers are not counted. A split without examples has no table.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in paths.SPLITS}
    for name in paths.SPLITS:
        paths.prepared(name).unlink(missing_ok=True)
    if not splits:
        return counts
    file = pq.ParquetFile(spool)
    tables: dict[str, TableWriter] = {}
    for row, name in zip(_rows(file), splits, strict=True):
        if name is None:
            continue
        if name not in tables:
            tables[name] = TableWriter(paths.prepared(name), file.schema_arrow)
        tables[name].add(row)
        label = row["label"]
        counts[name].update([label] if isinstance(label, str) else [] if isinstance(label, dict) else label)
    for table in tables.values():
        table.close()
    spool.unlink()
    return counts


def _rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for group in range(file.num_row_groups):  # iter_batches would read several ahead
        for batch in file.read_row_group(group).to_batches(max_chunksize=100):
            yield from batch.to_pylist()
