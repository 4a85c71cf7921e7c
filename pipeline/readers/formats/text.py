"""Plain text files, each one example; the folder that a file lies in is its class."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from pipeline.readers import files, lines
from pipeline.readers.example import Example, Refused, Split
from pipeline.readers.files import Entry
from pipeline.readers.section import DataSection
from pipeline.readers.split_names import Place


class Reader(DataSection):
    """A file that lies in no folder, or only in that of a split, has the label ""."""

    content: ClassVar = "text"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True

    format: Literal["text"]
    files: str = "*"  # only files whose name matches this pattern
    part: PositiveInt | None = None  # cut each file, at ends of lines, into examples of at least this many characters

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        if self.part:
            for entry in files.entries(source, self.files):
                yield from parts(entry, self.part, rules(entry))
            return
        for file in files.walk(source, self.files):
            try:
                text = lines.decode(file.content)
            except UnicodeDecodeError:
                yield Refused(file.where, "is not UTF-8")
                continue
            if text.strip():
                split, folders = rules(file)
                yield Example(file.where, text, folders[-1] if folders else "", split, group=file.name)
            else:
                yield Refused(file.where, "is empty")


def parts(entry: Entry, size: int, place: Place) -> Iterator[Example | Refused]:
    """A file of any length, one part in memory at a time. Where the source does not define the file's split, each
    part's own content decides.
    """
    held: list[str] = []
    split, label, length = place.split, place.folders[-1] if place.folders else "", 0
    row = first = 1
    for row, line in enumerate(lines.lines(entry), start=1):
        held.append(line)
        length += len(line)
        if length >= size:
            yield _part(entry, first, held, label, split)
            held, length, first = [], 0, row + 1
    if held or row == 1:
        yield _part(entry, first, held, label, split)


def _part(entry: Entry, first: int, held: list[str], label: str, split: Split | None) -> Example | Refused:
    text, where = "".join(held), f"{entry.where} line {first}"
    return Example(where, text, label, split) if text.strip() else Refused(where, "is empty")
