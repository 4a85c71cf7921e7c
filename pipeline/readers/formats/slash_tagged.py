"""The format of the Brown corpus: one sentence a line, each word followed by a slash and its tag."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.readers import class_names, raw_data
from pipeline.readers.example import Example, Refused
from pipeline.readers.section import DataSection
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import delimited, files, lines

BLANKS = re.compile(r"[ \t\n\v\f\r]+")


class Reader(DataSection):
    """The sentences of one file are one group."""

    content: ClassVar = "words"
    labels_are: ClassVar = "tags"
    one_per_file: ClassVar = False

    format: Literal["slash-tagged"]
    files: str = "*"  # only files whose name matches this pattern
    tags: str | None = None  # a CSV file (tag,becomes) that maps the corpus's tags to coarser ones

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        coarser = _coarser(Path(self.tags)) if self.tags is not None else None
        for entry in files.entries(source, self.files, self.encoding):
            split = rules(entry).split
            for number, line in enumerate(lines.lines(entry, self.encoding), start=1):
                where = f"{entry.where} line {number}"
                parts = [token.rpartition("/") for token in (line.split() if line.isascii() else _tokens(line))]
                cells = tags = [tag for _, _, tag in parts]
                if coarser:
                    cells = tags = [coarser.get(tag, "") for tag in tags]
                elif not line.isascii():
                    tags = [class_names.clean(tag) for tag in cells]
                if not all(word and tag for word, _, tag in parts):
                    yield Refused(where, "a word has no tag")
                elif not all(tags):
                    yield Refused(where, f"a tag is not in {self.tags}")
                elif parts:
                    words, changed = tuple(word for word, _, _ in parts), class_names.change(tags, cells)
                    yield Example(where, words, tuple(tags), split, group=entry.name, changed=changed)


def _tokens(line: str) -> list[str]:
    """What ASCII whitespace separates; other whitespace may be a word, or part of one."""
    return [token for token in BLANKS.split(line) if token]


def _coarser(path: Path) -> dict[str, str]:
    raw_data.refuse_folder_links(path)
    raw_data.refuse_left_behind(path)
    rows = delimited.rows(files.Entry(path.name, str(path), lambda: path.open("rb")), ("tag", "becomes"))
    header = next(rows, None)
    if header is None or header.cells != ("tag", "becomes"):
        raise UserError(f"{path}: its first line must be tag,becomes")
    becomes: dict[str, str] = {}
    for row, cells in rows:
        if cells is None or len(cells) != 2 or not all(cells):
            raise UserError(f"{path} row {row}: must be a tag, a comma and what it becomes")
        if becomes.setdefault(cells[0], cells[1]) != cells[1]:
            raise UserError(f"{path} row {row}: the tag {cells[0]} becomes {becomes[cells[0]]} in a row above")
    return becomes
