"""Bytes on disk -> examples: one function a format. A new reader is one new file and one line here.

A reader takes the source's path and yields Examples, those of held-out splits first: an example that stands in both
is then dropped from training, never from a test.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.readers.example import Example
from pipeline.readers.idx import read_idx

READERS: dict[str, Callable[[Path], Iterator[Example]]] = {
    "idx": read_idx,
}
