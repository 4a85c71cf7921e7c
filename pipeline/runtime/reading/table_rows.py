"""The rows of one table, whose name says its format: CSV, TSV, JSON Lines or Parquet, plain or .gz."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

from ..errors import UserError
from . import delimited, files, lines
from .delimited import INFER, Form

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)
SUFFIXES = (*DELIMITERS, *JSON_LINES, *PARQUET)
FIRST = 100  # objects of JSON Lines, whose keys are its columns


def read(entry: files.Entry, wanted: list[str], form: Form = INFER) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The number and the `wanted` cells of each row, or why it cannot be used. Raises UserError where the table cannot
    be read or lacks a column.
    """
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix in PARQUET:
        parquet = _parquet(entry)
        check_columns(entry, parquet.columns(entry), wanted)
        return parquet.read(entry, wanted)
    return (_json_lines if suffix in JSON_LINES else _cells)(entry, wanted, form)


def columns(entry: files.Entry, form: Form = INFER) -> list[str]:
    """The names of a table's columns; of JSON Lines, those in its first objects. Raises UserError."""
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix in PARQUET:
        return _parquet(entry).columns(entry)
    if suffix in JSON_LINES:
        return _keys(entry, form)
    header = next(delimited.rows(entry, likely=DELIMITERS[suffix], form=form), None)
    return delimited.names(header.cells or ()) if header else []


def _parquet(entry: files.Entry) -> ModuleType:
    """What reads Parquet: pyarrow is large, and only this needs it."""
    try:
        from . import parquet
    except ImportError as error:
        raise UserError(f"{entry.where}: Parquet needs pyarrow: pip install pyarrow, or save it as CSV") from error
    return parquet


def check_columns(entry: files.Entry, columns: Sequence[str], wanted: list[str]) -> None:
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
    check_columns(entry, names, wanted)
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


def _keys(entry: files.Entry, form: Form) -> list[str]:
    names: dict[str, None] = {}
    for line in islice(lines.lines(entry, form.encoding), FIRST):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        names |= dict.fromkeys(row if isinstance(row, dict) else ())
    return list(names)
