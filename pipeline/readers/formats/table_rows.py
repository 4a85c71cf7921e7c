"""The rows of one table, whose name says its format: CSV, TSV, JSON Lines or Parquet, plain or .gz."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers import delimited, files, lines
from pipeline.readers.delimited import INFER, Form
from pipeline.runtime.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)
SUFFIXES = (*DELIMITERS, *JSON_LINES, *PARQUET)
SHORT = {pa.float16(): np.float16, pa.float32(): np.float32}
FIRST = 100  # objects of JSON Lines, whose keys are its columns
ROWS = 256  # of Parquet in memory at a time: they may hold pictures


def read(entry: files.Entry, wanted: list[str], form: Form = INFER) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The number and the `wanted` cells of each row, or why it cannot be used. Raises UserError where the table cannot
    be read or lacks a column.
    """
    suffix = PurePosixPath(entry.name).suffix.lower()
    rows = _parquet if suffix in PARQUET else _json_lines if suffix in JSON_LINES else _cells
    return rows(entry, wanted, form)


def columns(entry: files.Entry, form: Form = INFER) -> list[str]:
    """The names of a table's columns; of JSON Lines, those in its first objects. Raises UserError."""
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix in PARQUET:
        with _table(entry) as table:
            return list(table.schema_arrow.names)
    if suffix in JSON_LINES:
        return _keys(entry, form)
    header = next(delimited.rows(entry, likely=DELIMITERS[suffix], form=form), None)
    return delimited.names(header.cells or ()) if header else []


def _check_columns(entry: files.Entry, columns: Sequence[str], wanted: list[str]) -> None:
    for name in wanted:
        if name not in columns:
            raise UserError(f"{entry.where}: has no column {name} (its columns: {', '.join(columns)})")
        if columns.count(name) > 1:
            raise UserError(f"{entry.where}: has {columns.count(name)} columns named {name}: rename all but one")


def _cells(entry: files.Entry, wanted: list[str], form: Form) -> Iterator[tuple[int, dict[str, Any] | str]]:
    likely = DELIMITERS[PurePosixPath(entry.name).suffix.lower()]
    rows = delimited.rows(entry, wanted, likely=likely, form=form)
    header = next(rows, None)
    if header is None or header.cells is None:
        raise UserError(f"{entry.where}: its first line must name the columns {', '.join(dict.fromkeys(wanted))}")
    if any("\0" in name for name in header.cells):
        raise UserError(f"{entry.where}: its first line holds NUL bytes: save it as UTF-8")
    names = delimited.names(header.cells)
    _check_columns(entry, names, wanted)
    longest = max(map(len, header.cells)) + 2  # with blanks around it
    places, folded = {name: names.index(name) for name in wanted}, list(map(_folded, names))
    for number, cells in rows:
        if cells is None:
            yield number, "its quotes are wrong"
        elif len(cells) != len(names):
            yield number, f"has {'more' if len(cells) > len(names) else 'fewer'} cells than the header"
        elif cells == header.cells:
            yield number, "repeats the header"
        elif len(cells[0]) <= longest and _folded(cells[0]) in folded and len(cells) > 1 and _are(cells, folded):
            if list(map(_folded, cells)) != folded:
                raise UserError(
                    f"{entry.where} row {number}: is a header with its columns in another order, so those below "
                    "it are too: put the rows from here on into a file of their own"
                )
            yield number, "repeats the header"
        else:
            yield number, {name: cells[at] for name, at in places.items()}


def _are(cells: Sequence[str], folded: Sequence[str]) -> bool:
    return sorted(map(_folded, cells)) == sorted(folded)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _json_lines(entry: files.Entry, wanted: list[str], form: Form) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(lines.lines(entry, form.encoding), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "is not JSON"
            continue
        if not isinstance(row, dict):
            yield number, "is not a JSON object"
        elif missing := [name for name in wanted if name not in row]:
            yield number, f"has no key {missing[0]}"
        else:
            yield number, row


def _parquet(entry: files.Entry, wanted: list[str], form: Form) -> Iterator[tuple[int, dict[str, Any] | str]]:
    number = 0
    with _table(entry) as table:
        schema = table.schema_arrow
        _check_columns(entry, schema.names, wanted)
        classes = {name: names for name, names in _class_labels(schema).items() if name in wanted}
        short = {name: SHORT[kind] for name in wanted if (kind := schema.field(name).type) in SHORT}
        for batch in table.iter_batches(ROWS, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                try:
                    row |= {name: _named(row[name], names) for name, names in classes.items()}
                except IndexError:
                    yield number, "its label has no name in the table's schema"
                    continue
                for name, kind in short.items():  # 0.1 in 32 bits would be 0.10000000149
                    row[name] = None if row[name] is None else float(str(kind(row[name])))
                yield number, row


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The class names of each column of class numbers, which Hugging Face's `datasets` writes into a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
    except (KeyError, ValueError, TypeError, AttributeError):  # no such schema
        return {}
    found: dict[str, list[str]] = {}
    for name, feature in features:
        one = feature.get("feature", feature) if isinstance(feature, dict) else feature
        one = one[0] if isinstance(one, list) and one else one  # another way to write a list of classes
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and isinstance(one.get("names"), list):
            found[name] = one["names"]
    return found


def _named(value: Any, names: Sequence[str]) -> Any:
    """The class of a number, or of each in a list; None for -1, which stands for a hidden label. Raises IndexError."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if not isinstance(value, int):
        return value
    return names[value] if value >= 0 else None


@contextmanager
def _table(entry: files.Entry) -> Iterator[pq.ParquetFile]:
    """A Parquet file, open. Raises UserError where it is damaged."""
    try:
        with files.reading(entry.where):
            # Parquet is read from its end: a stream must be unpacked first.
            plain = entry.path is not None and not entry.path.name.lower().endswith(".gz")
            file = entry.open() if plain else io.BytesIO(files.read(entry))
            with file, pq.ParquetFile(file) as table:
                yield table
    except pa.ArrowException as error:  # those that are neither ValueError nor OSError
        reason = " ".join(str(error).split())
        raise UserError(f"{entry.where}: cannot be read ({reason}); fetch it again") from error


def _keys(entry: files.Entry, form: Form) -> list[str]:
    names: dict[str, None] = {}
    for line in islice(lines.lines(entry, form.encoding), FIRST):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        names |= dict.fromkeys(row if isinstance(row, dict) else ())
    return list(names)
