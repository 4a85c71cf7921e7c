"""Which split the source puts an example in: by splits.csv, by the name of a file or folder, or by a cell."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

from pipeline.readers import lines
from pipeline.readers.example import Split
from pipeline.readers.files import SPLITS, Entry, matches, reading
from pipeline.runtime.errors import UserError

WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "testa": "validation",  # in CoNLL-2003
    "test": "test",
    "testb": "test",
    "shifted": "shifted",
}


def rules(source: Path) -> Callable[[str], Split | None]:
    """The split of a file by its name: that of the first pattern in splits.csv that matches, or None."""
    path = source / SPLITS
    with reading(source):
        if not path.is_file():
            return lambda name: None
    rows = lines.rows(Entry(SPLITS, str(path), lambda: path.open("rb")), ",")
    header = next(rows, None)
    if header is None or header.cells != ("pattern", "split"):
        raise UserError(f"{path}: its first line must be pattern,split")
    splits: list[tuple[str, Split]] = []
    for row, cells in rows:
        if cells is None or len(cells) != 2 or cells[1] not in get_args(Split):
            allowed = ", ".join(get_args(Split))
            raise UserError(f"{path} row {row}: must be a pattern, a comma and one of {allowed}")
        splits.append((cells[0], cast(Split, cells[1])))
    return lambda name: next((split for pattern, split in splits if matches(name, pattern)), None)


def named(name: str) -> Split | None:
    """The split in a file's name: eng.train, en-ud-dev.conllu, test/a.conll. None where it is missing or ambiguous."""
    for part in reversed(name.lower().split("/")):
        splits: set[Split] = {WORDS[word] for word in re.split("[^a-z]+", part) if word in WORDS}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None
