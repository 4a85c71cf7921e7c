"""The IDX format of MNIST and similar data: {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz, in one folder.

Big-endian: two zero bytes, 0x08 for unsigned bytes, the number of axes, each axis's length as 4 bytes, the values
(http://yann.lecun.com/exdb/mnist/). An optional labels.txt names the classes, one a line, starting with class 0.
"""

import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, cast

import numpy as np
from jaxtyping import UInt8

from pipeline.readers import lines
from pipeline.readers.example import Example, Refused
from pipeline.readers.files import Entry, reading
from pipeline.readers.section import DataSection
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError

UNSIGNED_BYTES = 8
MAX_BYTES = 8 << 30
PREFIXES: tuple[tuple[Literal["train", "test"], str], ...] = (("train", "train"), ("test", "t10k"))


class Reader(DataSection):
    """The test split may be missing."""

    content: ClassVar = "image"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = False

    format: Literal["idx"]

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        """The examples in the files' order. Raises UserError naming the file that is missing or damaged."""
        names = _label_names(source)
        for split, prefix in PREFIXES:
            if split == "test" and not _find(source, f"{prefix}-images-idx3-ubyte"):
                continue
            image_file = _need(source, f"{prefix}-images-idx3-ubyte")
            label_file = _need(source, f"{prefix}-labels-idx1-ubyte")
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
                    f"{label_file}: row {row}: label {labels[row]}, but labels.txt names {len(names)} classes"
                )
            for row, (picture, label) in enumerate(zip(pixels, labels)):
                yield Example(
                    where=f"{image_file}: image {row}",
                    content=images.encode(picture),
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
            raise UserError(f"{path}: its header announces {size:,} bytes, and at most {MAX_BYTES:,} are read")
        content = file.read(size + 1)
    if len(content) != size:
        more = "more than" if len(content) > size else f"{len(content):,} of"
        raise UserError(f"{path}: holds {more} the {size:,} bytes that its header announces; fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _find(source: Path, stem: str) -> Path | None:
    return next((p for p in (source / stem, source / f"{stem}.gz") if p.exists()), None)


def _need(source: Path, stem: str) -> Path:
    path = _find(source, stem)
    if path is None:
        raise UserError(f"{source}: {stem} (or {stem}.gz) is missing; the idx reader needs it")
    return path


def _label_names(source: Path) -> list[str]:
    path = source / "labels.txt"
    entry = Entry(path.name, str(path), lambda: path.open("rb"))
    return [line.rstrip("\r\n") for line in lines.lines(entry)] if path.exists() else []
