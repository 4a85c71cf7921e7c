"""CoNLL-2000, CoNLL-2003, CoNLL-U and similar: one word a line, its tag in a column, a blank line after a sentence."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.readers import class_names
from pipeline.readers.example import Example, Refused, Split
from pipeline.readers.section import DataSection
from pipeline.runtime.reading import conll, files, lines


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
            for sentence in conll.sentences(lines.lines(entry, self.encoding)):
                yield self._example(entry.where, sentence, split)

    def _example(self, file: str, sentence: list[conll.Line], split: Split | None) -> Example | Refused:
        words, cells = [], []
        for line in sentence:
            word, tag = conll.cell(line.columns, self.token), conll.cell(line.columns, self.tag)
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
