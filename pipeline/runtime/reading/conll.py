"""The lines of CoNLL-2000, CoNLL-2003, CoNLL-U and similar: a word and its columns, a blank line after a sentence."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

COMMENT = re.compile(r"#\s*\w+\s*=")  # in CoNLL-U: # text = ...
NO_WORD = re.compile(r"\d+[-.]\d+")  # in CoNLL-U: 3-4 is the range of the words that follow, 8.1 an omitted word
CONLL_U = 10  # columns


class Line(NamedTuple):
    number: int
    text: str
    columns: list[str]

    @property
    def form(self) -> tuple[bool, int]:
        return "\t" in self.text, len(self.columns)


def _blocks(lines: Iterable[str]) -> Iterator[list[Line]]:
    """The lines between blank lines."""
    block: list[Line] = []
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text.strip(" \t") or text.startswith("-DOCSTART-"):
            yield block
            block = []
        else:
            block.append(Line(number, text, columns(text)))
    yield block


def sentences(lines: Iterable[str]) -> Iterator[list[Line]]:
    """The words of each block that has any.

    Blocks before the first line without # wait for that line's form. Only tabs prove that they are no comments.
    """
    form, waiting = None, list[list[Line]]()
    for block in _blocks(lines):
        form = next((line.form for line in block if not line.text.startswith("#")), form)
        waiting.append(block)
        if form:
            yield from _words(waiting if form[0] else [block], form)
            waiting = []
    yield from _words(waiting, (True, 2))


def _words(blocks: Iterable[list[Line]], form: tuple[bool, int]) -> Iterator[list[Line]]:
    for block in blocks:
        if words := [line for line in block if _is_word(line, form)]:
            yield words


def columns(line: str) -> list[str]:
    """The cells of a line: tabs separate them, or spaces where it has no tab; other whitespace may be a word."""
    if "\t" in line:
        return [cell.strip(" ") or cell for cell in line.split("\t")]
    return [cell for cell in line.split(" ") if cell]


def _is_word(line: Line, form: tuple[bool, int]) -> bool:
    """A line that starts with # is a word only if it has the `form` of the other lines; otherwise it is a comment."""
    if line.form == (True, CONLL_U) and NO_WORD.fullmatch(line.columns[0]):
        return False
    return not line.text.startswith("#") or (line.form == form and not COMMENT.match(line.text))


def is_numbered(line: Line) -> bool:
    """Whether a line begins with the word's number, as in CoNLL-U."""
    return line.form == (True, CONLL_U) and line.columns[0].isdecimal()


def cell(columns: list[str], at: int) -> str:
    return columns[at] if -len(columns) <= at < len(columns) else ""
