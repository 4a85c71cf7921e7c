"""The columns of a table, with the cells of rows from its beginning to its end."""

import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from pipeline.inspection.columns import PICTURE, Column
from pipeline.readers import files, split_names
from pipeline.readers.formats import table_rows
from pipeline.readers.split import HELD_OUT
from pipeline.runtime.errors import UserError

ROWS = 4_000  # whose cells are kept
SECONDS = 10  # of reading
CHARACTERS = 2_000  # of a cell
OTHER_DELIMITERS = (";", "\t", "|")


def columns(source: Path) -> list[Column]:
    """Those of the first table to train on, which all others of these must have: tables that the source holds out may
    lack the labels. Raises UserError where they differ or cannot be read.
    """
    rules = split_names.rules(source, suffixes=table_rows.SUFFIXES)
    names: list[str] = []
    first = ""
    kept: list[dict[str, Any]] = []
    folder: Path | None = None
    stride, number, end = 1, 0, time.monotonic() + SECONDS
    for entry in _tables(source):
        if rules(entry).split in HELD_OUT:
            continue
        own = _unique(entry)
        names, first = names or own, first or entry.where
        if other := sorted(set(names) ^ set(own)):
            raise UserError(f"{entry.where}: only one of it and {first} has a column {other[0]}: add one of them alone")
        folder = entry.path.parent if entry.path else None
        rows = tqdm(table_rows.read(entry, own), desc="look", unit=" rows", disable=None, delay=2, leave=False)
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
        raise UserError(f"{source}: its names say that all of it is held out: rename what is to be trained on")
    if not kept:
        raise UserError(f"{source}: holds no row that can be read; its columns: {', '.join(names)}")
    return [Column(name, tuple(row.get(name) for row in kept), folder) for name in names]


def _tables(source: Path) -> Iterator[files.Entry]:
    for entry in files.entries(source):
        if PurePosixPath(entry.name).suffix.lower() in table_rows.SUFFIXES:
            yield entry


def _unique(entry: files.Entry) -> list[str]:
    """The columns with a name of their own. Raises UserError where the first line names none."""
    names = table_rows.columns(entry)
    for delimiter in OTHER_DELIMITERS:
        if len(names) == 1 and names[0].count(delimiter):
            shown = {"\t": "tabs"}.get(delimiter, repr(delimiter))
            cure = "name it .tsv" if delimiter == "\t" else "save it with commas, or with tabs as .tsv"
            raise UserError(f"{entry.where}: its columns are separated by {shown}: {cure}")
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
