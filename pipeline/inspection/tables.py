"""The columns of a table, with the cells of rows from its beginning to its end."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from pipeline.inspection.columns import PICTURE, Column
from pipeline.readers import split_names
from pipeline.readers.split import HELD_OUT
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files, table_rows
from pipeline.runtime.reading.delimited import Form

ROWS = 4_000  # whose cells are kept
SECONDS = 10  # of reading
CHARACTERS = 2_000  # of a cell
BRIEF, LONG = 30, 40  # characters: of a name, at most; of texts, on average, at least


def columns(source: Path, encoding: str | None = None) -> list[Column]:
    """Those of the first table to train on, which all others of these must have: tables that the source holds out may
    lack the labels. Raises UserError where they differ or cannot be read.
    """
    rules = split_names.rules(source, suffixes=table_rows.SUFFIXES, encoding=encoding)
    names: list[str] = []
    first = ""
    kept: list[dict[str, Any]] = []
    folder: Path | None = None
    stride, number, end = 1, 0, time.monotonic() + SECONDS
    form = Form(encoding=encoding)
    for entry in _tables(source, encoding):
        if rules(entry).split in HELD_OUT:
            continue
        own = _unique(entry, form)
        names, first = names or own, first or entry.where
        if other := sorted(set(names) ^ set(own)):
            raise UserError(
                f"{entry.where} and {first}: only one of them has a column {other[0]}: give both the same columns, or "
                "add one alone"
            )
        folder = entry.path.parent if entry.path else None
        rows = tqdm(table_rows.read(entry, own, form), desc="look", unit=" rows", disable=None, delay=2, leave=False)
        for _, row in rows:
            if isinstance(row, str):
                continue
            if number % stride == 0:
                kept.append({name: _brief(cell) for name, cell in row.items()})
            number += 1
            if len(kept) > ROWS:  # half as many of twice as many rows
                kept, stride = kept[::2], 2 * stride
            if time.monotonic() > end:
                break
    if not names:
        raise UserError(f"{source}: the names of all its tables hold them out: rename those to train on")
    if not kept:
        raise UserError(f"{source}: holds no usable row (its columns: {', '.join(names)}): correct or add rows")
    found = [Column(name, tuple(row.get(name) for row in kept), folder) for name in names]
    if first.lower().removesuffix(".gz").endswith(tuple(table_rows.DELIMITERS)) and _lack_names(found):
        raise UserError(
            f"{first}: its first line looks like a row ({', '.join(names)[:80]}): insert a line above it that names "
            "the columns"
        )
    return found


def _lack_names(columns: Sequence[Column]) -> bool:
    """Whether the names look like cells: one is a class of its own column; or they are numbers where the column holds
    numbers, and none is much shorter than the texts below it.
    """
    if any(column.counts[column.name] and column.is_label and not _is_number(column.name) for column in columns):
        return True
    numeric = [column for column in columns if column.is_numeric]
    counted = [column.name for column in columns] == [str(i) for i in range(len(columns))]  # as pandas names them
    named = any(len(column.name) <= BRIEF and column.length >= LONG for column in columns)
    return bool(numeric) and all(_is_number(column.name) for column in numeric) and not counted and not named


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tables(source: Path, encoding: str | None) -> Iterator[files.Entry]:
    for entry in files.entries(source, encoding=encoding):
        if PurePosixPath(entry.name).suffix.lower() in table_rows.SUFFIXES:
            yield entry


def _unique(entry: files.Entry, form: Form) -> list[str]:
    """The columns with a name of their own. Raises UserError where the first line names none."""
    names = table_rows.columns(entry, form)
    if not names:
        raise UserError(f"{entry.where}: its first line must name the columns")
    return [name for name in names if names.count(name) == 1]


def _brief(cell: Any) -> Any:
    """A cell without what would fill the memory: the bytes of pictures, the end of long texts."""
    if isinstance(cell, bytes) or (isinstance(cell, dict) and {"bytes", "path"} & cell.keys()):
        return PICTURE
    if isinstance(cell, str):
        return cell[:CHARACTERS]
    return cell[:100] if isinstance(cell, list) else cell
