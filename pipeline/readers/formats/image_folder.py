"""A folder or archive of images with a folder for each class and, optionally, one for each split above or in these."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.readers import class_names
from pipeline.readers.example import Example, Refused
from pipeline.readers.section import DataSection
from pipeline.readers.split_names import Folder, Rules
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp")  # four of them of JPEG; Windows writes .jfif


class Reader(DataSection):
    """CLASS/image, SPLIT/CLASS/image or CLASS/SPLIT/image; other folders in a class folder are of that class."""

    content: ClassVar = "image"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True
    suffixes: ClassVar = SUFFIXES

    format: Literal["image-folder"]

    def read(self) -> Iterator[Example | Refused]:
        rules = self.rules()
        level = class_level(rules)
        for file in files.walk(rules.source, encoding=self.encoding):
            split, folders = rules(file)
            if not file.name.lower().endswith(SUFFIXES):
                yield Refused(file.where, "not a PNG, JPEG or WebP file")
            elif len(folders) <= level:
                yield Refused(file.where, "lies in no class folder", split)
            elif reason := images.check(file.content):
                yield Refused(file.where, reason)
            else:
                label = class_names.clean(folders[level])
                changed = class_names.change(label, folders[level])
                yield Example(file.where, file.content, label, split, changed=changed)


def class_level(rules: Rules) -> int:
    """The depth of the class folders, not counting those of splits: 0, or more where there are folders around all
    images. Raises UserError where a split or class folder on disk holds no image.
    """
    source = rules.source
    on_disk = _subfolders(source) if source.is_dir() else []
    _refuse_empty(rules, on_disk)
    is_packed = not on_disk and (rules.level is None or (rules.level == 0 and source.is_dir()))
    is_packed |= len(on_disk) == 1 and rules.level is None  # one class would be none
    level = 0
    while is_packed and len({folder[level] for folder in rules.kept if len(folder) > level}) == 1:
        if not any(len(folder) > level + 1 for folder in rules.kept):
            break
        level += 1
    return level


def _refuse_empty(rules: Rules, on_disk: list[str]) -> None:
    """A split or class without images is a mistake. Only on disk: an archive need not list empty folders."""
    expected: list[Folder] = [(top,) for top in on_disk]
    if rules.level == 0 or (rules.level is None and len(on_disk) == 1):
        expected += [(top, name) for top in on_disk for name in _subfolders(rules.source / top)]
    for folder in expected:
        if folder not in rules.folders:
            raise UserError(f"{rules.source.joinpath(*folder)}: holds no images: fill or remove it")


def _subfolders(folder: Path) -> list[str]:
    with files.reading(folder), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not files.is_left_out(e.name, folder=True))
