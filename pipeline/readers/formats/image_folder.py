"""A folder or archive of pictures with a folder for each class, and above these, maybe, one for each split."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.config.params import Section
from pipeline.readers import files, split_names
from pipeline.readers.example import Example, Refused, Split
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SPLITS: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "shifted": "shifted",
}


class Reader(Section):
    """CLASS/picture or SPLIT/CLASS/picture; folders further down belong to their class."""

    name: Literal["image-folder"]

    def read(self, source: Path) -> Iterator[Example | Refused]:
        split_of = split_names.rules(source)
        common, depth = _levels(source)
        for file in files.walk(source):
            above = file.name.split("/")[len(common) : -1]
            if not file.name.lower().endswith(SUFFIXES):
                yield Refused(file.where, "not a PNG, JPEG or WebP file")
            elif len(above) <= depth:
                yield Refused(file.where, "lies in no class folder")
            elif reason := images.check(file.content):
                yield Refused(file.where, reason)
            else:
                split = split_of(file.name) or (SPLITS[above[0].lower()] if depth else None)
                yield Example(file.where, file.content, above[depth], split)


def _levels(source: Path) -> tuple[tuple[str, ...], int]:
    """The folders that all of an archive lies in, and whether those next are splits (1) or classes (0).

    Raises UserError where the folder of a split or a class holds no picture.
    """
    folders: dict[tuple[str, ...], bool] = {}  # the upper ones, and whether a picture lies in them
    for entry in files.entries(source):
        above = tuple(entry.name.split("/")[:-1])
        for end in range(1, min(len(above), 8) + 1):
            folders[above[:end]] = folders.get(above[:end], False) or entry.name.lower().endswith(SUFFIXES)
    common: tuple[str, ...] = ()
    real = _folders(source) if source.is_dir() else []
    while not real and len(tops := {key for key in folders if key[:-1] == common}) == 1:
        (only,) = tops
        if only[-1].lower() in SPLITS or not any(key[:-1] == only for key in folders):
            break
        common = only
    tops = {key[-1] for key in folders if key[:-1] == common} | set(real)
    depth = int(bool(tops) and all(top.lower() in SPLITS for top in tops))
    classes = [(top, name) for top in real for name in _folders(source / top)] if depth else [(top,) for top in real]
    for key in [*((top,) for top in real), *classes]:
        if not folders.get(key):
            raise UserError(f"{source.joinpath(*key)}: holds no images: fill or remove it")
    return common, depth


def _folders(folder: Path) -> list[str]:
    with files.reading(folder), os.scandir(folder) as found:
        return sorted(e.name for e in found if e.is_dir() and not e.name.startswith(".") and e.name != "__MACOSX")
