"""Image files. Needs pillow."""

from pathlib import Path
from typing import Any

from ..encoders import images, specs
from ..errors import UserError
from . import Arrays

MAX_BYTES = 1 << 30  # of a file


class Images:
    batch_size, from_files, min_length, max_tokens = 256, True, 0, None
    from_words = False

    def __init__(self, spec: specs.ImageSpec) -> None:
        self._spec = spec

    def parse(self, text: str) -> bytes:
        """The content of the file whose path is `text`. Raises OSError, and UserError where it is too large."""
        path = Path(text)
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{text}: is larger than any image ({size:,} bytes)")
        return path.read_bytes()

    def encode(self, content: bytes, name: str) -> Arrays:
        return (images.decode(content, self._spec, name),)


def load(folder: Path, preprocessing: Any, where: str) -> Images:
    return Images(specs.read(specs.ImageSpec, preprocessing, where))
