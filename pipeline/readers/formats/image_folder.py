"""A folder or archive of pictures with a folder for each class and, optionally, above these one for each split."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from pipeline.readers import files, split_names
from pipeline.readers.example import Example, Refused
from pipeline.readers.section import DataSection
from pipeline.readers.split_names import WORDS as SPLITS
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
DEEPEST = 8  # levels of folders that are looked at

Folder: TypeAlias = tuple[str, ...]  # the parts of its path in the source


class Layout(NamedTuple):
    root: Folder  # the folder that everything in an archive lies in
    has_splits: bool  # below it come folders of splits, and in these the folders of classes


class Reader(DataSection):
    """CLASS/picture or SPLIT/CLASS/picture; a folder inside a class folder belongs to that class."""

    content: ClassVar = "image"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True

    format: Literal["image-folder"]

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        split_of = split_names.rules(source)
        root, has_splits = infer_layout(source)
        class_level = int(has_splits)
        for file in files.walk(source):
            folders = file.name.split("/")[len(root) : -1]
            if not file.name.lower().endswith(SUFFIXES):
                yield Refused(file.where, "not a PNG, JPEG or WebP file")
            elif len(folders) <= class_level:
                yield Refused(file.where, "lies in no class folder")
            elif reason := images.check(file.content):
                yield Refused(file.where, reason)
            else:
                split = split_of(file.name) or (SPLITS[folders[0].lower()] if has_splits else None)
                yield Example(file.where, file.content, folders[class_level], split)


def infer_layout(source: Path) -> Layout:
    """How the folders of `source` are to be read. Raises UserError where a split or class folder holds no picture."""
    holds_picture = _folders(source)
    on_disk = _subfolders(source) if source.is_dir() else []
    root = () if on_disk else _common_root(holds_picture)
    tops = {folder[-1] for folder in holds_picture if folder[:-1] == root} | set(on_disk)
    has_splits = bool(tops) and all(top.lower() in SPLITS for top in tops)
    _refuse_empty(source, on_disk, has_splits, holds_picture)
    return Layout(root, has_splits)


def _folders(source: Path) -> dict[Folder, bool]:
    """Step 1. Every folder that has a file at any depth, and whether one of them is a picture."""
    folders: dict[Folder, bool] = {}
    for entry in files.entries(source):
        parts = tuple(entry.name.split("/")[:-1])
        is_picture = entry.name.lower().endswith(SUFFIXES)
        for depth in range(1, min(len(parts), DEEPEST) + 1):
            folders[parts[:depth]] = folders.get(parts[:depth], False) or is_picture
    return folders


def _common_root(folders: dict[Folder, bool]) -> Folder:
    """Step 2. The folder that an archive was packed in: one alone at the top, with folders in it, not named as a split
    is.
    """
    root: Folder = ()
    while len(tops := {folder for folder in folders if folder[:-1] == root}) == 1:
        (only,) = tops
        if only[-1].lower() in SPLITS or not any(folder[:-1] == only for folder in folders):
            break
        root = only
    return root


def _refuse_empty(source: Path, on_disk: list[str], has_splits: bool, holds_picture: dict[Folder, bool]) -> None:
    """Step 3. A split or class without pictures is a mistake. Only on disk: an archive need not list empty folders."""
    expected: list[Folder] = [(top,) for top in on_disk]
    if has_splits:
        expected += [(top, name) for top in on_disk for name in _subfolders(source / top)]
    for folder in expected:
        if not holds_picture.get(folder):
            raise UserError(f"{source.joinpath(*folder)}: holds no images: fill or remove it")


def _subfolders(folder: Path) -> list[str]:
    with files.reading(folder), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(".") and e.name != "__MACOSX")
