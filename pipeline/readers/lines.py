"""Text line by line, in UTF-8, with or without a byte order mark, or in UTF-16 with one."""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers.files import Entry, reading
from pipeline.runtime.errors import UserError

MAX_LINE = 1 << 26  # bytes: longer than any sentence or row of a table
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """A row of a table, and the line that it starts on."""

    line: int
    cells: tuple[str, ...] | None  # None where its quotes are wrong


def decode(content: bytes) -> str:
    """The text in `content`. Raises UnicodeDecodeError."""
    return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")


def lines(entry: Entry) -> Iterator[str]:
    """The lines, each with its ending (LF or CR LF). Raises UserError, naming the line, if the file is not Unicode."""
    with reading(entry.where), entry.open() as file:
        line = file.readline(MAX_LINE)
        if line.startswith(UTF_16):
            yield from _utf_16(entry)
            return
        row, offset = 1, 0
        while line:
            try:
                text = line.decode("utf-8-sig" if row == 1 else "utf-8")
            except UnicodeDecodeError as error:
                at = f"line {row}, byte {offset + error.start + 1:,} of the file"
                raise UserError(f"{entry.where}: is not UTF-8 ({at}): save it as UTF-8") from error
            yield _checked(entry, row, text)
            row, offset, line = row + 1, offset + len(line), file.readline(MAX_LINE)


def _utf_16(entry: Entry) -> Iterator[str]:
    with reading(entry.where), entry.open() as file, io.TextIOWrapper(file, "utf-16", newline="\n") as wide:
        row = 1
        while True:
            try:
                line = wide.readline(MAX_LINE)
            except UnicodeDecodeError as error:
                raise UserError(f"{entry.where}: is not UTF-16 (after line {row - 1}): save it as UTF-8") from error
            if not line:
                return
            yield _checked(entry, row, line)
            row += 1


def _checked(entry: Entry, row: int, line: str) -> str:
    if len(line) == MAX_LINE:
        raise UserError(f"{entry.where} line {row}: is longer than {MAX_LINE:,} bytes: is this a text file?")
    return line


def rows(entry: Entry, delimiter: str) -> Iterator[Row]:
    """The rows of a table, without blank lines. Only tables with commas have quotes, those of CSV.

    Raises UserError where a wrong quote spans lines: there is no telling how many rows it swallowed.
    """
    if delimiter != ",":
        for number, line in enumerate(lines(entry), start=1):
            if line.strip():
                yield Row(number, tuple(line.rstrip("\r\n").split(delimiter)))
        return
    csv.field_size_limit(MAX_LINE)  # of the process; the default of 128 KiB is less than a long document
    reader = csv.reader(lines(entry), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > line or "end of data" in str(error):
                raise UserError(
                    f"{entry.where} row {line}: a quote is opened here and not closed correctly; "
                    "inside quotes, write a quote twice"
                ) from error
            yield Row(line, None)
            continue
        if cells:
            yield Row(line, tuple(cells))
