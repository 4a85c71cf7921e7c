"""CoNLL-2000, CoNLL-2003, CoNLL-U and similar: one word a line, its tag in a column, a blank line after a sentence."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pipeline.readers import class_names, files, lines
from pipeline.readers.example import Example, Refused, Split
from pipeline.readers.section import DataSection

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


class Reader(DataSection):
    content: ClassVar = "words"
    labels_are: ClassVar = "tags"
    one_per_file: ClassVar = False

    format: Literal["conll"]
    files: str = "*"  # only files whose name matches this pattern
    token: int = 0  # the word's column, counted from 0; negative: from the end
    tag: int = -1

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        for entry in files.entries(source, self.files, self.encoding):
            split = rules(entry).split
            for sentence in _sentences(_blocks(lines.lines(entry, self.encoding))):
                yield self._example(entry.where, sentence, split)

    def _example(self, file: str, sentence: list[Line], split: Split | None) -> Example | Refused:
        words, cells = [], []
        for line in sentence:
            word, tag = _cell(line.columns, self.token), _cell(line.columns, self.tag)
            if not word or not tag or (self.token - self.tag) in (0, len(line.columns), -len(line.columns)):
                return Refused(f"{file} line {line.number}", "a line has no tag")
            if line.form != sentence[0].form:
                return Refused(
                    f"{file} line {line.number}", "a line's columns do not match the first line of its sentence"
                )
            words.append(word)
            cells.append(tag)
        tags = [class_names.clean(cell) for cell in cells]
        where, changed = f"{file} line {sentence[0].number}", class_names.change(tags, cells)
        return Example(where, tuple(words), tuple(tags), split, changed=changed)


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


def _sentences(blocks: Iterable[list[Line]]) -> Iterator[list[Line]]:
    """The words of each block that has any.

    Blocks before the first line without # wait for that line's form. Only tabs prove that they are no comments.
    """
    form, waiting = None, list[list[Line]]()
    for block in blocks:
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


def _cell(columns: list[str], at: int) -> str:
    return columns[at] if -len(columns) <= at < len(columns) else ""
