"""The texts and sentences that predict is given: on the command line, on standard input, or in files."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias

from ..errors import UserError
from ..reading import cells, conll, encodings, files, lines, table_rows
from ..reading.unread import CURES
from .file_form import DEFAULT, STDIN, STDIN_NAME, STDIN_PATH, Form

CONLL = (".conll", ".conllu", ".iob", ".iob2", ".bio")
FILE = re.compile(
    r"(?i)\S+\.(txt|csv|tsv|jsonl?|ndjson|parquet|conllu?|eml|mbox|html?|md|xlsx?|pdf|docx?|gz|zip|png|jpe?g|webp)"
)
Row: TypeAlias = Mapping[str, Any]


class Text(NamedTuple):
    """A text with its place; an error in place of one that cannot be read."""

    name: str
    content: str | list[str] | UserError  # a text, or the words of a sentence
    row: Row | None = None  # of the table that it is in, if that is kept


def read(inputs: list[str], paths: list[Path], form: Form = DEFAULT) -> Iterator[Text]:
    """The texts on the command line, then those in files. A file that cannot be read, or only its beginning, does not
    keep those after it from being read.
    """
    if form.encoding is not None and encodings.known(form.encoding) is None:
        raise UserError("--encoding: must be an encoding, such as utf-8, cp1252 or gb18030")
    for i, text in enumerate(inputs, start=1):
        if text == STDIN:
            yield from _or_error(Path(STDIN), form)
        elif exists(text) and ("/" in text or Path(text).suffix):
            why = f"is the name of a file or folder, not a text: --file '{text}' reads the texts in it"
            yield Text(f"input {i}", UserError(f"input {i}: {text!r} {why}"))
        else:
            if text and exists(text):  # a word, and a file or folder
                print(f"note: input {i}: {text!r} is taken for a text: --file reads a file", file=sys.stderr)
            elif FILE.fullmatch(text):
                print(f"note: input {i}: {text!r} is taken for a text: there is no such file", file=sys.stderr)
            yield Text(f"input {i}", text)
    for path in paths:
        yield from _or_error(path, form)


def _or_error(path: Path, form: Form) -> Iterator[Text]:
    try:
        yield from read_file(path, form)
    except UserError as error:
        yield Text(str(path), error)


def exists(text: str) -> bool:
    """Whether a text is also the path of something."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # longer than any path, or with a NUL
        return False


def read_file(path: Path, form: Form) -> Iterator[Text]:
    """The texts in a file, or in those of a folder or archive."""
    if (suffix := path.suffix.lower()) in CURES:
        raise UserError(f"{path}: is no text: {CURES[suffix]}")
    if str(path) == STDIN:
        entry = files.Entry(STDIN_NAME, STDIN_NAME, lambda: Path(STDIN_PATH).open("rb"))  # noqa: SIM115
        yield from _lines(entry, form)
        return
    for entry in files.entries(path, encoding=form.encoding):
        suffix = PurePosixPath(entry.name).suffix.lower()
        if suffix in table_rows.SUFFIXES:
            yield from column(entry, form)
        elif suffix in CONLL:
            yield from _sentences(entry, form)
        elif suffix in CURES:
            yield Text(entry.where, UserError(f"{entry.where}: is no text: {CURES[suffix]}"))
        else:
            yield from _lines(entry, form)


def columns(paths: list[Path], form: Form) -> list[str]:
    """The columns of the tables, each once. Raises UserError where a file is no table."""
    found: dict[str, None] = {}
    for path in paths:
        for entry in files.entries(path, encoding=form.encoding):
            if PurePosixPath(entry.name).suffix.lower() not in table_rows.SUFFIXES:
                kinds = ", ".join(table_rows.SUFFIXES)
                raise UserError(f"--keep-columns: {entry.where} has no columns: name tables ({kinds}) with --file")
            found |= dict.fromkeys(table_rows.columns(entry, _delimited(form)))
    return list(found)


def _delimited(form: Form) -> table_rows.Form:
    return table_rows.Form(None, form.quoting, form.encoding)


def column(entry: files.Entry, form: Form) -> Iterator[Text]:
    """The texts in a column of a table."""
    wanted, empty = [form.text], True
    if form.keep and PurePosixPath(entry.name).suffix.lower() not in table_rows.JSON_LINES:
        wanted = list(dict.fromkeys([*wanted, *table_rows.columns(entry, _delimited(form))]))
    try:
        for number, row in table_rows.read(entry, wanted, _delimited(form)):
            where, empty = f"{entry.where} row {number}", False
            kept = row if form.keep and not isinstance(row, str) else None
            try:
                if isinstance(row, str):
                    raise cells.Refusal(row)
                if not (text := cells.text(row[form.text], "text")).strip():
                    raise cells.Refusal("its text is empty")
            except cells.Refusal as refusal:
                yield Text(where, UserError(f"{where}: {refusal}"), kept)
            else:
                yield Text(where, text, kept)
    except UserError as error:
        cure = ": --column names the one with the texts" if "no column" in str(error) else ""
        raise UserError(f"{error}{cure}") from error
    if empty:
        yield Text(entry.where, UserError(f"{entry.where}: has no rows"))


def _sentences(entry: files.Entry, form: Form) -> Iterator[Text]:
    """The words of a CoNLL file's sentences; its tags are not read."""
    if not form.words:
        raise UserError(f"{entry.where}: holds sentences of tagged words, and the package reads texts: give it texts")
    if form.column is not None and not form.column.lstrip("-").isdecimal():
        raise UserError(f"--column: must be a column's number in a CoNLL file, from 0, not {form.column!r}")
    empty = True
    for sentence in conll.sentences(lines.lines(entry, form.encoding)):
        empty, where = False, f"{entry.where} line {sentence[0].number}"
        at = int(form.column) if form.column is not None else int(conll.is_numbered(sentence[0]))
        words = [conll.cell(line.columns, at) for line in sentence]
        if all(words):
            yield Text(where, words)
        else:
            line = sentence[words.index("")].number
            yield Text(
                where, UserError(f"{entry.where} line {line}: has no column {at}: --column names that of the word")
            )
    if empty:
        yield Text(entry.where, UserError(f"{entry.where}: has no words"))


def _lines(entry: files.Entry, form: Form) -> Iterator[Text]:
    """The lines of a file that have text."""
    empty = True
    for number, line in enumerate(lines.lines(entry, form.encoding), start=1):
        if line.strip():
            empty = False
            yield Text(f"{entry.where} line {number}", line)
    if empty:
        yield Text(entry.where, UserError(f"{entry.where}: has no text"))
