"""The texts of a table and their tokens, a few in memory at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int32

from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer, text_parts


class Part(NamedTuple):
    """A part of a document."""

    tokens: Int32[np.ndarray, " t"]
    size: tuple[int, int] | None  # bytes and characters of the whole document; None in all parts but its first


def documents(table: Path, group: int | None = None) -> Iterator[str]:
    """The texts of the table, or of one row group: a row group, some 32 MB, is in memory at a time."""
    file = pq.ParquetFile(table)
    for number in range(file.num_row_groups) if group is None else [group]:
        for text in file.read_row_group(number, columns=["text"]).column(0):
            yield text.as_py()


def tokenized(table: Path, tokenizer: ByteTokenizer, group: int | None = None) -> Iterator[Part]:
    """The documents' tokens, in order."""
    sizes: deque[tuple[int, int] | None] = deque()  # for each piece that is being tokenized

    def pieces() -> Iterable[str]:
        for text in documents(table, group):
            size: tuple[int, int] | None = len(text.encode()), len(text)
            for piece in text_parts(text):
                sizes.append(size)
                size = None
                yield piece

    for tokens in tokenizer.encode_parts(pieces()):
        yield Part(tokens, sizes.popleft())
