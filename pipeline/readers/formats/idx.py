"""The IDX format of MNIST and similar data: NAME-{images-idx3,labels-idx1}-ubyte, plain or .gz, in one folder.

Big-endian: two zero bytes, 0x08 for unsigned bytes, the number of axes, each axis's length as 4 bytes, the values
(http://yann.lecun.com/exdb/mnist/). An optional labels.txt names the classes, one a line, starting with class 0.
"""

import gzip
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, cast

import numpy as np
from jaxtyping import UInt8

from pipeline.readers.example import Example, Refused, Split
from pipeline.readers.section import DataSection
from pipeline.readers.split import HELD_OUT
from pipeline.readers.split_names import Rules
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files, lines
from pipeline.runtime.reading.files import Entry, reading

UNSIGNED_BYTES = 8
MAX_BYTES = 8 << 30
KINDS = {"images": 3, "labels": 1}  # and their axes
NAME = re.compile(r"(.*?)(images|labels)[-.]idx[13]-ubyte")


class Reader(DataSection):
    content: ClassVar = "image"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = False

    suffixes: ClassVar = ("idx1-ubyte", "idx3-ubyte")

    format: Literal["idx"]

    def read(self) -> Iterator[Example | Refused]:
        """The examples, training first. Raises UserError naming a file that is missing or damaged."""
        source = Path(self.source)
        names, rules = _label_names(source), self.rules()
        parts = _parts(source)
        splits: dict[str, Split | None] = {prefix: _split(part, rules) for prefix, part in parts.items()}
        for prefix, split in sorted(splits.items(), key=lambda one: (one[1] in HELD_OUT, one[0])):
            image_file, label_file = (_need(source, prefix, kind, parts[prefix]) for kind in KINDS)
            pixels = read_array(image_file, axes=3)  # n h w
            labels = read_array(label_file, axes=1)  # n
            if len(pixels) != len(labels):
                raise UserError(
                    f"{image_file} holds {len(pixels):,} images but {label_file.name} holds {len(labels):,} labels: "
                    "take both files from the same download"
                )
            if names and len(labels) and labels.max() >= len(names):
                row = int(labels.argmax())
                raise UserError(
                    f"{label_file}: label {row} is {labels[row]}, but labels.txt names only {len(names)} classes: add "
                    "the missing names"
                )
            for row, (picture, label) in enumerate(zip(pixels, labels)):
                yield Example(
                    where=f"{image_file}: image {row}",
                    content=images.raw(picture),
                    label=names[label] if names else str(label),
                    split=split,
                    key=picture.tobytes(),
                )


def read_array(path: Path, *, axes: int) -> UInt8[np.ndarray, "..."]:
    """The array in an IDX file of unsigned bytes. Raises UserError if its header or its length is wrong."""
    with reading(path), cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
        header = file.read(4 + 4 * axes)
        if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, UNSIGNED_BYTES, axes]):
            start = header[:4].hex(" ") or "nothing"
            what = f"not an IDX file of unsigned bytes with {axes} axes"
            raise UserError(f"{path}: {what}: it starts with {start}, not 00 00 08 {axes:02x}; fetch it again")
        shape = [int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)]
        size = math.prod(shape)
        if size > MAX_BYTES:
            raise UserError(f"{path}: its header announces {size:,} bytes, and the limit is {MAX_BYTES:,}: split it up")
        content = file.read(size + 1)
    if len(content) != size:
        more = "more than" if len(content) > size else f"{len(content):,} of"
        raise UserError(f"{path}: holds {more} the {size:,} bytes that its header announces; fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _parts(source: Path) -> dict[str, dict[str, Entry]]:
    """The beginning of the files' names -> `images` or `labels` -> the file, unpacked where both forms lie there."""
    parts: dict[str, dict[str, Entry]] = {}
    for entry in files.entries(source):
        if (name := NAME.fullmatch(entry.name)) and entry.path:
            parts.setdefault(name[1], {}).setdefault(name[2], entry)
    return parts or {"train-": {}}


def _split(part: dict[str, Entry], rules: Rules) -> Split | None:
    return next((rules(entry).split for entry in part.values()), None)


def _need(source: Path, prefix: str, kind: str, entries: dict[str, Entry]) -> Path:
    if (entry := entries.get(kind)) and entry.path:
        return entry.path
    stem = f"{prefix}{kind}-idx{KINDS[kind]}-ubyte"
    raise UserError(f"{source}: {stem} (or {stem}.gz) is missing; the idx reader needs it")


def _label_names(source: Path) -> list[str]:
    path = source / "labels.txt"
    entry = Entry(path.name, str(path), lambda: path.open("rb"))
    return [line.rstrip("\r\n") for line in lines.lines(entry)] if path.exists() else []
