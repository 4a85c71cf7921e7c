"""Which split the source puts an example in: by splits.csv, by the names of folders and files, or by a cell.

All readers read names alike. A level is all folders of one depth, or all files. The outermost level in which every name
names a split decides. A level in which only some do is ambiguous, and refused.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, cast

from pipeline.readers.example import Split
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import delimited
from pipeline.runtime.reading.files import SPLITS, TAR, ZIP, Entry, matches, names, reading

WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "trainval": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "testa": "validation",  # in CoNLL-2003
    "test": "test",
    "testing": "test",
    "tst": "test",
    "testb": "test",
    "eval": "test",
    "evaluation": "test",
    "shifted": "shifted",
}
ALLOWED = "train, validation, test, shifted"
ANY = re.compile("train|trn|val|dev|test|tst|eval|shifted|t10k", re.IGNORECASE)  # as quick as can be
FILLERS = {"set", "split", "data", "dataset", "part", "shard", "of"}  # train_set, test-00000-of-00001
GLUED = re.compile("(set|data)$")  # trainset, testdata
CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")  # TrainSet
BOTH = re.compile("(?<![a-z])train[-_. ]val(?![a-z])")  # what is trained on once the settings are chosen
NO_LETTERS = re.compile(r"[\W\d_]+")
DEEPEST = 8  # levels of folders that are looked at

Folder: TypeAlias = tuple[str, ...]  # the parts of its path in the source


class Name(NamedTuple):
    """A name with a split in it."""

    split: Split
    rest: tuple[str, ...]  # its other words; none where it says nothing but a split


class Place(NamedTuple):
    """What a file's path says."""

    split: Split | None
    folders: Folder  # those that it lies in, without those that name a split


class Named(Protocol):
    """A file in the source: an Entry or a File."""

    @property
    def name(self) -> str: ...

    @property
    def archive(self) -> str: ...


def parse(name: str) -> Name | None:
    """The split that a name has in it, as one of its words. None where there is none, or where there are two."""
    plain = CAPITAL.sub(" ", name).casefold().replace("t10k", "test")  # MNIST's test files
    plain = BOTH.sub("trainval", plain)
    words = [word for word in NO_LETTERS.split(plain) if word]
    splits = [WORDS.get(word, WORDS.get(GLUED.sub("", word))) for word in words]
    found = cast(set[Split], {split for split in splits if split})
    rest = tuple(word for word, split in zip(words, splits) if not split and word not in FILLERS)
    return Name(found.pop(), rest) if len(found) == 1 else None


@lru_cache(1_000)  # a column has a few different cells
def word(text: str) -> Split | None:
    """The split that a text names, where it says nothing else: Train, test_set, dev-2."""
    name = parse(text)
    return name.split if name and not name.rest else None


def of_file(name: str) -> Name | None:
    """The split in a file's name, the last part of its path. The extension counts only where it is a split."""
    stem, _, extension = name.rpartition(".")
    return parse(name if not stem or word(extension) else stem)


class Level:
    """The names of one level: a few of them, and what they have in common."""

    def __init__(self) -> None:
        self.splits: dict[tuple[str, ...], dict[Split, str]] = {}  # a name's other words -> its split -> the name
        self.other = ""  # a name that names no split

    def add(self, name: str, parsed: Name | None) -> None:
        if parsed is None:
            self.other = self.other or name
        else:
            self.splits.setdefault(parsed.rest, {}).setdefault(parsed.split, name)

    def names_splits(self, source: Path, what: str, cure: str, *, examples: bool) -> bool:
        """Whether all of its names are those of splits. Raises UserError where only some are.

        A name with other words in it is one only beside another: `test_of_time.txt` is a document, but `ptb.test.txt`
        belongs to `ptb.train.txt`. Where each file is an example (`examples`), so is one without other words.
        """
        found = {split for names in self.splits.values() for split in names}
        several = "train" in found and len(found) > 1
        alone = () in self.splits and not examples
        if not self.other:
            return several or alone
        paired = next((names for names in self.splits.values() if "train" in names and len(names) > 1), None)
        if paired or alone:
            names = ", ".join(sorted((paired or self.splits[()]).values()))
            raise UserError(
                f"{source}: some of its {what} name a split ({names}) and some do not ({self.other}): move or rename "
                f"some of them, {cure}or list the split of each file in {_table(source)}"
            )
        return False


class Rules:
    """The split of each file of a source, and the folders that it lies in besides."""

    def __init__(self, source: Path, names: Iterable[tuple[str, str]], *, one_per_file: bool, cure: str = "") -> None:
        self.source, is_single = source, not source.is_dir() and not _is_archive(source.name)
        self.patterns, self._cure = _patterns(source), cure
        self.folders: set[Folder] = set()
        self.level: int | None = None  # of the folders that name splits
        self._places: dict[tuple[str, str], Place] = {}
        named, lying_in = Level(), set[tuple[str, str]]()
        for name, archive in () if is_single else names:
            folder, _, last = name.rpartition("/")
            if (archive, folder) not in lying_in:
                lying_in.add((archive, folder))
                path = (*_archive(archive), *filter(None, folder.split("/")))
                self.folders.update(path[:depth] for depth in range(1, min(len(path), DEEPEST) + 1))
            named.add(last, of_file(last) if ANY.search(last) else None)
        self._inside = Counter(folder[:-1] for folder in self.folders)  # how many folders are in each
        self.level = next((depth for depth in range(DEEPEST) if self._is_level(depth)), None)
        # One folder alone around those of the splits is no class: aclImdb/train.
        above = {folder[: self.level] for folder in self.folders if len(folder) > (self.level or 0)}
        self._several_above = len(above) > 1
        self.by_file = self.patterns is None and self.level is None
        self.by_file = self.by_file and named.names_splits(source, "files", cure, examples=one_per_file)
        self.kept = {self._place(*lying).folders for lying in lying_in}  # the folders without those of splits

    def __call__(self, file: Named) -> Place:
        """What a file's path says, or what splits.csv says of it."""
        folder, _, name = file.name.rpartition("/")
        place = self._places.get((file.archive, folder))
        if place is None:
            place = self._places[file.archive, folder] = self._place(file.archive, folder)
        if self.patterns is not None:
            return place._replace(split=self._listed(file))
        if self.by_file and (parsed := of_file(name)):
            return place._replace(split=parsed.split)
        return place

    def _listed(self, file: Named) -> Split | None:
        names = (file.name, f"{file.archive}/{file.name}") if file.archive else (file.name,)
        rows = self.patterns or ()
        return next((split for pattern, split in rows if any(matches(name, pattern) for name in names)), None)

    def _place(self, archive: str, folder: str) -> Place:
        above, own = _archive(archive), tuple(filter(None, folder.split("/")))
        path = (*above, *own)
        if self.level is None or len(path) <= self.level:
            is_packed = self.level is not None and not self._several_above
            return Place(None, () if is_packed else own)  # a file beside the folders of splits is in no class
        parsed, end = parse(path[self.level]), self.level + 1
        while end < len(path) and self._repeats(path[: end + 1], parsed):
            end += 1
        kept = path[len(above) : self.level] if self._several_above else ()
        kept += path[max(end, len(above)) :]
        return Place(parsed.split if parsed else None, kept)

    def _repeats(self, path: Folder, parsed: Name | None) -> bool:
        """Whether a folder says again, alone in its own, what the folder around it says: seg_train/seg_train."""
        again = parse(path[-1])
        alone = self._inside[path[:-1]] == 1
        return alone and again is not None and parsed is not None and again.split == parsed.split

    def _is_level(self, depth: int) -> bool:
        folders = [folder for folder in self.folders if len(folder) == depth + 1]
        level = Level()
        for folder in sorted(folders):
            level.add(folder[-1], parse(folder[-1]))
        if self.patterns is None:
            return bool(folders) and level.names_splits(self.source, "folders", self._cure, examples=False)
        # Beside folders that are named as splits are, a pattern may make splits of others.
        listed = {pattern for pattern, _ in self.patterns}
        known = [folder for folder in folders if word(folder[-1]) or f"{'/'.join(folder)}/*" in listed]
        return () in level.splits and len(known) == len(folders)


def rules(
    source: Path,
    pattern: str | None = None,
    suffixes: tuple[str, ...] = (),
    *,
    one_per_file: bool = False,
    encoding: str | None = None,
) -> Rules:
    """The rules for the files that fit `pattern` and have one of the `suffixes`. Raises UserError where their names, or
    splits.csv, cannot be understood.
    """
    with reading(source):
        source.stat()
    found = names(source, pattern or "*", encoding)
    wanted = (one for one in found if not suffixes or one[0].lower().endswith(suffixes))
    cure = "read only some with `files`, " if pattern else ""
    return Rules(source, wanted, one_per_file=one_per_file, cure=cure)


def _patterns(source: Path) -> list[tuple[str, Split]] | None:
    """The rows of splits.csv, if there is one."""
    path = source / SPLITS
    with reading(source):
        if not path.is_file():
            return None
    rows = delimited.rows(Entry(SPLITS, str(path), lambda: path.open("rb")), ("pattern", "split"))
    header = next(rows, None)
    if header is None or header.cells != ("pattern", "split"):
        raise UserError(f"{path}: its first line must be pattern,split")
    splits: list[tuple[str, Split]] = []
    for row, cells in rows:
        split = word(cells[1]) if cells is not None and len(cells) == 2 else None
        if cells is None or split is None:
            raise UserError(f"{path} row {row}: must be a pattern, a comma and one of {ALLOWED}")
        splits.append((cells[0].replace("\\", "/"), split))
    return splits


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ZIP + TAR)


def _archive(name: str) -> Folder:
    """An archive in a folder, as a folder: train.zip is the folder train."""
    for suffix in ZIP + TAR:
        if name.lower().endswith(suffix):
            return tuple(name[: -len(suffix)].split("/"))
    return ()


def _table(source: Path) -> str:
    if source.is_dir():
        return str(source / SPLITS)
    return f"{SPLITS}, in a new folder that holds it and {source.name}"
