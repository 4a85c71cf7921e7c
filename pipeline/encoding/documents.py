"""The texts of a table, and their tokens, a few in memory at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int32

from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer, text_parts


class Part(NamedTuple):
    """Of a document; `size` is what the whole has in bytes and in characters, with its first part alone."""

    tokens: Int32[np.ndarray, " t"]
    size: tuple[int, int] | None


def documents(table: Path, group: int | None = None) -> Iterator[str]:
    """The texts, one row group of the table in memory at a time, which prepare made of some 32 MB; or those of one."""
    file = pq.ParquetFile(table)
    for number in range(file.num_row_groups) if group is None else [group]:
        for text in file.read_row_group(number, columns=["text"]).column(0):
            yield text.as_py()


def tokenized(table: Path, tokenizer: ByteTokenizer, group: int | None = None) -> Iterator[Part]:
    """The documents' tokens, in order."""
    sizes: deque[tuple[int, int] | None] = deque()  # of the pieces that are being tokenized

    def pieces() -> Iterable[str]:
        for text in documents(table, group):
            size: tuple[int, int] | None = len(text.encode()), len(text)
            for piece in text_parts(text):
                sizes.append(size)
                size = None
                yield piece

    for tokens in tokenizer.encode_parts(pieces()):
        yield Part(tokens, sizes.popleft())
