"""Rows of delimited text: CSV, TSV and their like. Delimiter and quoting are inferred from the first block of lines.

Where commas or semicolons delimit, quotes are those of CSV. Where tabs or vertical bars do, quotes may be part of the
text, as in collections of short messages: they are those of CSV where more rows parse so, or where they stand as a
program writes them.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from ..errors import UserError
from .files import Entry
from .lines import MAX_LINE, lines

BLOCK = 1 << 17  # characters
DELIMITERS = (",", ";", "\t", "|")
QUOTES_MAY_BE_TEXT = ("\t", "|")  # delimiters
EXCEL = re.compile(r'"?sep=(.)"?\s*')  # a first line that names the delimiter
WITHIN = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')  # a quoted cell with quotes inside

Quoting: TypeAlias = Literal["minimal", "none"]


class Row(NamedTuple):
    """A row of a table, and the line that it starts on."""

    line: int
    cells: tuple[str, ...] | None  # None where its quotes are wrong


class Form(NamedTuple):
    """What the user says of a table. What is None is inferred."""

    delimiter: str | None = None
    quoting: Quoting | None = None
    encoding: str | None = None


INFER = Form()


class Dialect(NamedTuple):
    delimiter: str
    quoting: Quoting | None = None  # None: no cell has begun with a quote yet
    skip_spaces: bool = False  # those after a delimiter
    proven: bool = True  # the rows cannot be parsed with the other quoting
    unclear: bool = False  # both quotings parse, but into different rows


class Parsed(NamedTuple):
    """A block, read in one way."""

    rows: list[tuple[str, ...] | None]
    bad: int  # rows with wrong quotes, or more or fewer cells than the first
    unfinished: bool  # the block ends within quotes

    @property
    def header(self) -> tuple[str, ...]:
        return self.rows[0] or () if self.rows else ()

    @property
    def good(self) -> float:
        """The share of rows that parse."""
        return 1 - self.bad / max(1, len(self.rows))


def rows(entry: Entry, wanted: Sequence[str] = (), *, likely: str = ",", form: Form = INFER) -> Iterator[Row]:
    """The rows of a table, without blank lines. `wanted` are columns that its first row names; `likely` is the
    delimiter that its name suggests.

    Raises UserError where a wrong quote spans lines: there is no telling how many rows it swallowed.
    """
    source = lines(entry, form.encoding)
    block, first, delimiter = _block(source), 1, form.delimiter
    if block and (named := EXCEL.fullmatch(block[0])):
        block, first, delimiter = block[1:], 2, delimiter or named[1]
    order = (delimiter,) if delimiter else tuple(sorted(DELIMITERS, key=lambda one: one != likely))
    dialect = _dialect(block, order, wanted, form.quoting)
    return _rows(entry, chain(block, source), first, dialect)


def names(header: Sequence[str]) -> list[str]:
    """The names of the columns, without whitespace around them."""
    return [name.strip() for name in header]


def _block(source: Iterator[str]) -> list[str]:
    block, size = [], 0
    for line in source:
        block.append(line)
        size += len(line)
        if size > BLOCK:
            break
    return block


def _dialect(block: Sequence[str], order: Sequence[str], wanted: Sequence[str], quoting: Quoting | None) -> Dialect:
    """The first delimiter with which the first row names the wanted columns; else that of the most regular rows."""
    found: list[tuple[bool, bool, float, Dialect]] = []
    for delimiter in order:
        dialect, parsed = _quoting(block, Dialect(delimiter, quoting))
        columns = names(parsed.header)
        has_wanted = bool(wanted) and set(wanted) <= set(columns)
        if has_wanted and not parsed.bad:
            return dialect
        found.append((has_wanted, len(columns) > 1, parsed.good, dialect))
    return max(found, key=lambda one: one[:3])[3]


def _quoting(block: Sequence[str], dialect: Dialect) -> tuple[Dialect, Parsed]:
    """How a block's cells are quoted, unless the dialect says so; and the block, parsed accordingly."""
    if dialect.quoting == "none":
        return dialect, _parsed(block, dialect)
    quoted = _parsed(block, dialect._replace(quoting="minimal"))
    if dialect.quoting is None and dialect.delimiter in QUOTES_MAY_BE_TEXT:
        plain = _parsed(block, dialect._replace(quoting="none"))
        if not any(cell.startswith('"') for row in plain.rows for cell in row or ()):
            return dialect, plain
        proven = quoted.bad > plain.bad
        if not (is_quoted := _is_quoted(block, dialect, quoted, plain)):
            return dialect._replace(quoting="none", proven=proven, unclear=is_quoted is None), plain
    dialect = dialect._replace(quoting="minimal")
    before_quotes = re.compile(f'{re.escape(dialect.delimiter)} +"')
    if any(before_quotes.search(line) for line in block):
        skipping = dialect._replace(skip_spaces=True)
        without = _parsed(block, skipping)
        if without.bad < quoted.bad or (without.bad == quoted.bad and _drops_quotes(quoted, without)):
            return skipping, without
    return dialect, quoted


def _drops_quotes(kept: Parsed, skipped: Parsed) -> bool:
    """Whether some cell loses quotes, not only spaces, where the spaces before it are skipped."""
    pairs = ((a, b) for one, two in zip(kept.rows, skipped.rows) for a, b in zip(one or (), two or ()))
    return any(a.lstrip(" ") != b.lstrip(" ") for a, b in pairs)


def _is_quoted(block: Sequence[str], dialect: Dialect, quoted: Parsed, plain: Parsed) -> bool | None:
    """Whether quotes are those of CSV: more rows parse so; or as many do, and quotes are doubled within quotes, or
    enclose a whole column or a comma, which programs write but people hardly do. None: unclear.
    """
    doubled = any(WITHIN.fullmatch(cell) for row in plain.rows for cell in row or ())
    if quoted.bad != plain.bad:
        return quoted.bad < plain.bad or (doubled and plain.bad > 0)
    if quoted.unfinished:
        return False
    if doubled:
        return True
    if len(quoted.rows) < len(plain.rows):
        return _joins(block, dialect)
    columns = list(zip(*(row for row in plain.rows if row and len(row) == len(plain.header))))
    whole = any(_all_quoted(column) or (len(column) > 2 and _all_quoted(column[1:])) for column in columns)
    comma = any(_is_in_quotes(cell) and "," in cell for column in columns for cell in column)
    return whole or comma


def _joins(block: Sequence[str], dialect: Dialect) -> bool | None:
    """Whether the lines that quotes would join are one cell. They are rows if each has a class that other rows have;
    None where too few rows tell.
    """
    joined: list[tuple[str, ...]] = []
    alone: list[tuple[str, ...]] = []
    reader, start = _reader(iter(block), dialect), 0
    try:
        for _ in reader:
            lines = [_cells(line, dialect) for line in block[start : reader.line_num] if line.strip()]
            (joined if len(lines) > 1 else alone).extend(lines)
            start = reader.line_num
    except csv.Error:
        return None
    columns = [Counter(column) for column in zip(*alone[1:])]

    def is_usual(row: tuple[str, ...], least: int) -> bool:
        return any(column[cell] >= least for column, cell in zip(columns, row))

    if all(is_usual(row, 1) for row in joined):
        return False
    return True if sum(is_usual(row, 2) for row in alone[1:]) > len(alone) / 2 else None


def _all_quoted(cells: Sequence[str]) -> bool:
    full = [cell for cell in cells if cell]
    return bool(full) and all(map(_is_in_quotes, full))


def _is_in_quotes(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def _cells(line: str, dialect: Dialect) -> tuple[str, ...]:
    return tuple(line.rstrip("\r\n").split(dialect.delimiter))


def _parsed(block: Sequence[str], dialect: Dialect) -> Parsed:
    rows: list[tuple[str, ...] | None] = []
    unfinished = False
    if dialect.quoting == "none":
        rows += [_cells(line, dialect) for line in block if line.strip()]
    else:
        reader = _reader(iter(block), dialect)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                unfinished = "end of data" in str(error)
                rows.append(None)
                continue
            if cells:
                rows.append(tuple(cells))
    if unfinished and sum(map(len, block)) > BLOCK:
        rows.pop()  # the next block may end it
    width = len((rows and rows[0]) or ())
    return Parsed(rows, sum(row is None or len(row) != width for row in rows), unfinished)


def _reader(source: Iterator[str], dialect: Dialect) -> "csv._reader":  # type: ignore[name-defined]
    csv.field_size_limit(MAX_LINE)  # of the process; the default of 128 KiB is less than a long document
    return csv.reader(source, strict=True, delimiter=dialect.delimiter, skipinitialspace=dialect.skip_spaces)


def _rows(entry: Entry, source: Iterator[str], first: int, dialect: Dialect) -> Iterator[Row]:
    """The rows from line `first` on."""
    if dialect.unclear:
        raise UserError(
            f"{entry.where}: from line {first} on, quotes may be text, or enclose cells with line breaks: set "
            "quoting to none or minimal"
        )
    read = _quoted_rows if dialect.quoting == "minimal" else _plain_rows
    return read(entry, source, first, dialect)


def _plain_rows(entry: Entry, source: Iterator[str], first: int, dialect: Dialect) -> Iterator[Row]:
    """Rows without quoting, until a cell that begins with a quote tells more."""
    delimiter, is_sure = dialect.delimiter, dialect.quoting is not None and dialect.proven
    for number, line in enumerate(source, start=first):
        if not line.strip():
            continue
        cells = tuple(line.rstrip("\r\n").split(delimiter))
        if not is_sure and '"' in line:
            if dialect.quoting is None and any(cell.startswith('"') for cell in cells):
                block = [line, *_block(source)]
                yield from _rows(entry, chain(block, source), number, _quoting(block, dialect)[0])
                return
            if any(map(WITHIN.fullmatch, cells)):
                raise UserError(
                    f"{entry.where} row {number}: has a quoted cell, but quotes in earlier rows look like text: set "
                    "quoting to minimal or none"
                )
        yield Row(number, cells)


def _quoted_rows(entry: Entry, source: Iterator[str], first: int, dialect: Dialect) -> Iterator[Row]:
    reader = _reader(source, dialect)
    while True:
        line = reader.line_num + first
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num + first > line + 1 or "end of data" in str(error):
                raise UserError(
                    f"{entry.where} row {line}: a quote is opened here and not closed correctly; inside quotes, write "
                    "a quote twice; or, if quotes are text, set quoting to none"
                ) from error
            yield Row(line, None)
            continue
        if cells:
            yield Row(line, tuple(cells))
