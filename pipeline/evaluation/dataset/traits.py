"""Simple numbers on the examples of a split: how large, how bright, how long; the file each was read from; and the
columns that the user named as slices. Axes: n examples.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Int

from pipeline.config import paths
from pipeline.runtime.encoders import images

PLACE = re.compile(r"(: image|(?<!:) (row|line|mail)) [\d,]+.*$")  # what readers put behind the name of a file
BLOCK = 1_000  # images in memory


def content(split: str) -> str:
    """What the examples are: image, text or words."""
    return pq.read_schema(paths.prepared(split)).names[1]


def count(split: str) -> int:
    return pq.read_metadata(paths.prepared(split)).num_rows


def sampled(split: str, most: int, seed: int) -> Int[np.ndarray, " n"]:
    """Rows of a split, at most so many, chosen at random, in their order."""
    rows = count(split)
    return np.sort(np.random.default_rng(seed).choice(rows, min(rows, most), replace=False))


def of(split: str, rows: Int[np.ndarray, " n"] | None = None) -> pd.DataFrame:
    """A row for each example of the split, or for each of these."""
    kind = content(split)
    has_slices = "slices" in pq.read_schema(paths.prepared(split)).names
    found: list[dict[str, Any]] = []
    for row in read(split, [kind, "source", *(["slices"] if has_slices else [])], rows):
        own: dict[str, Any] = dict(row["slices"]) if has_slices else {}
        found.append(_of_content(row[kind]) | own | files(row["source"]))
    table = pd.DataFrame(found)
    return table if kind != "image" else pd.concat([_of_pixels(split, rows), table], axis=1)


def read(split: str, columns: Sequence[str], rows: Int[np.ndarray, " n"] | None = None) -> Iterator[dict[str, Any]]:
    """These rows of a split's table, which are in order, or all; a row group in memory at a time."""
    file, start = pq.ParquetFile(paths.prepared(split)), 0
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).num_rows
        here = None if rows is None else rows[(rows >= start) & (rows < start + size)] - start
        start += size
        if here is None or len(here):
            group = file.read_row_group(number, columns=list(columns))
            yield from (group if here is None else group.take(here)).to_pylist()


def files(source: str) -> dict[str, str]:
    """The file that an example was read from, and its folder."""
    path = PurePosixPath(PLACE.sub("", source))
    return {"file": path.name, "folder": path.parent.name}


def numbers(traits: pd.DataFrame) -> pd.DataFrame:
    """Those that are numbers, and not the user's own."""
    return traits.select_dtypes("number")


def _of_content(value: Any) -> dict[str, float | int]:
    if isinstance(value, bytes):
        width, height, _, _ = images.outside(value)
        return {"width": width, "height": height, "pixels": width * height}
    if isinstance(value, str):
        return of_text(value)
    letters = sum(map(len, value))
    return {"words": len(value), "letters a word": letters / max(len(value), 1)}


def of_text(text: str) -> dict[str, float | int]:
    size = max(len(text), 1)
    return {
        "words": len(text.split()),
        "characters": len(text),
        "capitals, %": 100 * sum(map(str.isupper, text)) / size,
        "digits, %": 100 * sum(map(str.isdigit, text)) / size,
        "characters beyond ASCII, %": 0.0 if text.isascii() else 100 * sum(c > "\x7f" for c in text) / size,
    }


def _of_pixels(split: str, rows: Int[np.ndarray, " n"] | None) -> pd.DataFrame:
    """Of the images as the model sees them."""
    pixels = np.load(paths.features(split) / "images.npy", mmap_mode="r")
    rows = np.arange(len(pixels)) if rows is None else rows
    means, spreads = [], []
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(pixels[rows[start : start + BLOCK]], np.float32) / 255
        means.append(block.mean(axis=(1, 2, 3)))
        spreads.append(block.std(axis=(1, 2, 3)))
    return pd.DataFrame({"brightness": np.concatenate(means), "contrast": np.concatenate(spreads)}).astype(float)
