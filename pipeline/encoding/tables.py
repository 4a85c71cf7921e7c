"""The tables that prepare wrote, read a few rows at a time."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.config import paths

ROWS = 1_000


def content() -> str:
    """What the examples are: image, text or words."""
    return pq.read_schema(paths.prepared("train")).names[1]


def splits() -> list[str]:
    """The splits of the source. Not every one has the shifted test split."""
    return [split for split in paths.SPLITS if paths.prepared(split).exists()]


def column(split: str, name: str) -> Iterator[Any]:
    """The values of a column, in order."""
    for batch in pq.ParquetFile(paths.prepared(split)).iter_batches(batch_size=ROWS, columns=[name]):
        yield from batch.column(0).to_pylist()


def rows(split: str) -> int:
    return pq.read_metadata(paths.prepared(split)).num_rows


def progress(items: Iterable[Any], split: str) -> Iterable[Any]:
    """The items of a split, with a progress bar on a terminal."""
    return tqdm(items, desc=f"preprocess {split}", total=rows(split), unit=" examples", unit_scale=True, disable=None)


class Concatenation:
    """Short arrays, end to end as they come: kept one by one, each would take a hundred bytes more."""

    def __init__(self, dtype: type[np.unsignedinteger]) -> None:
        self.dtype, self.sizes = dtype, array("q")
        self._bytes, self._row = bytearray(), ()

    def add(self, part: np.ndarray) -> None:
        self._row = part.shape[1:]
        self._bytes += part.astype(self.dtype).tobytes()
        self.sizes.append(len(part))

    @property
    def whole(self) -> np.ndarray:
        return np.frombuffer(self._bytes, self.dtype).reshape(-1, *self._row)


def save(split: str, **arrays: np.ndarray) -> None:
    """Writes a split's arrays."""
    folder = paths.features(split)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)


def ids(split: str) -> np.ndarray:
    return np.fromiter((name.encode() for name in column(split, "id")), "S32", rows(split))


def starts(sizes: Sequence[int]) -> np.ndarray:
    """Where each of consecutive pieces of these sizes begins, and where the last one ends."""
    places = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))])
    return places.astype(np.int32 if places[-1] < 2**31 else np.int64)


def smallest(numbers: int) -> type[np.unsignedinteger]:
    """The smallest type that holds this many different numbers, from 0 on."""
    return np.uint16 if numbers <= 1 << 16 else np.uint32


def spread(sizes: np.ndarray) -> dict[str, float]:
    """Figures on the lengths of examples."""
    return {
        "median": float(np.median(sizes)),
        "percentile_95": float(np.quantile(sizes, 0.95)),
        "longest": int(sizes.max()),
    }
