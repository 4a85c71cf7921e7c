"""Plain text files, each one example; the folder that a file lies in is its class."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from pipeline.readers import class_names
from pipeline.readers.example import Example, Refused
from pipeline.readers.section import DataSection
from pipeline.readers.split_names import Place
from pipeline.runtime.reading import files, lines
from pipeline.runtime.reading.files import Entry

LINE_END, BLANK = re.compile(r"\r\n?|\n"), re.compile(r"\s")
MARKS, JOINER = ("Mn", "Mc", "Me"), "\u200d"  # belong to the character before


class Reader(DataSection):
    """A file that lies in no folder, or only in that of a split, has the label ""."""

    content: ClassVar = "text"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True

    format: Literal["text"]
    files: str = "*"  # only files whose name matches this pattern
    part: PositiveInt | None = None  # cut each file, at line ends or whitespace, into examples of so many characters

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        if self.part:
            for entry in files.entries(source, self.files, self.encoding):
                yield from parts(entry, self.part, rules(entry), self.encoding)
            return
        for file in files.walk(source, self.files, self.encoding):
            try:
                text = lines.decode(file.content, self.encoding)
            except UnicodeDecodeError:
                yield Refused(file.where, f"is not {self.encoding or 'UTF-8'}: {lines.cure(self.encoding)}")
                continue
            if text.strip():
                split, folders = rules(file)
                folder = folders[-1] if folders else ""
                label = class_names.clean(folder)
                changed = class_names.change(label, folder)
                yield Example(file.where, text, label, split, group=file.name, changed=changed)
            else:
                yield Refused(file.where, "is empty")


def parts(entry: Entry, size: int, place: Place, encoding: str | None = None) -> Iterator[Example | Refused]:
    """A file of any length, one part in memory at a time; parts that are blank are left out. Where the source does not
    define the file's split, each part's own content decides.
    """
    label = class_names.clean(place.folders[-1]) if place.folders else ""
    held: list[str] = []
    length, line, column, is_empty = 0, 1, 0, True
    for piece in chain(lines.pieces(entry, encoding), [""]):
        held.append(piece)
        length += len(piece)
        if piece and length <= 2 * size:
            continue
        text, start = "".join(held), 0
        while start + 2 * size < len(text) or (not piece and start < len(text)):
            end = _end(text, start, size)
            part = text[start:end]
            if part.strip():
                where = f"{entry.where} line {line}{f', character {column + 1:,}' if column else ''}"
                yield Example(where, part, label, place.split)
                is_empty = False
            ends = lines.ends(part)
            column = len(part) - 1 - max(part.rfind("\n"), part.rfind("\r")) if ends else column + len(part)
            line, start = line + ends, end
        held, length = [text[start:]], len(text) - start
    if is_empty:
        yield Refused(entry.where, "is empty")


def _end(text: str, start: int, size: int) -> int:
    """Where the part that begins at `start` ends: at the first end of a line after `size` characters; where the line is
    too long, at the first whitespace; in scripts without spaces, before the next whole character.
    """
    least, most = start + size - 1, start + 2 * size
    if found := LINE_END.search(text, least, most) or (len(text) > most and BLANK.search(text, least, most)):
        at = found.end()
        return at + (text[at - 1 : at + 1] == "\r\n")
    if len(text) <= most:
        return len(text)
    at = start + size
    while at < most and (unicodedata.category(text[at]) in MARKS or JOINER in text[at - 1 : at + 1]):
        at += 1
    return at
