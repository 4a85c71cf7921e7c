"""Plain text files, each one example, its class the folder that it lies in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.params import Section
from pipeline.readers import files, lines, splits
from pipeline.readers.example import Example, Refused


class Reader(Section):
    """A file that lies in no folder has the label ""."""

    name: Literal["text"]
    files: str = "*"  # only those whose name fits this pattern

    def read(self, source: Path) -> Iterator[Example | Refused]:
        split_of = splits.rules(source)
        for name, content, where in files.walk(source, self.files):
            try:
                text = lines.decode(content)
            except UnicodeDecodeError:
                yield Refused(where, "is not UTF-8")
                continue
            if text.strip():
                label = name.rpartition("/")[0].rpartition("/")[2]
                yield Example(where, text, label, split_of(name), group=name)
            else:
                yield Refused(where, "is empty")
