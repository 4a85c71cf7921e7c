"""Tables of texts -> one long row of token numbers for each split, in files of 128 or 256 MiB; and the tokenizer.

Only a few texts are in memory at a time, except for the sample that the tokenizer is fitted on.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.config import paths
from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.encoding import fit_tokenizer, ray_data, tables
from pipeline.encoding.documents import documents, tokenized
from pipeline.examples.inputs import Corpus
from pipeline.runtime.encoders.byte_tokenizer import START, ByteTokenizer, text_parts

SAMPLE = 100_000_000  # characters that a tokenizer is fitted on, spread evenly over the training split
SHARD = 1 << 26  # tokens in a file: 128 MiB at two bytes each, 256 MiB at four
COUNTED = 1 << 20  # tokens counted at a time: numpy turns each into eight bytes


def write(settings: CorpusPreprocessing) -> tuple[Corpus, dict[str, Any], str]:
    """Writes the tokenizer and the tokens of every split; returns what was learnt of the text, figures for the report,
    and a summary.
    """
    fitted = fit_tokenizer.fit(sample(), settings.spec)
    fit_tokenizer.save(fitted, paths.TOKENIZER)
    tokenizer = ByteTokenizer(fitted, settings.spec)
    report = {split: write_split(split, tokenizer) for split in tables.splits()}
    train = report["train"]
    characters = train["characters"] / max(train["tokens"], 1)
    summary = (
        f"{tokenizer.size:,} different tokens; {train['tokens']:,} to train on, of {characters:.2f} characters each"
    )
    return Corpus(settings=settings, vocabulary=tokenizer.size), report, summary


def write_split(split: str, tokenizer: ByteTokenizer) -> dict[str, Any]:
    """Writes a split's tokens and index; returns figures for the report."""
    folder = paths.features(split)
    folder.mkdir(parents=True, exist_ok=True)
    shards = Shards(folder, tokenizer.size)
    starts: list[int] = []
    sizes: list[tuple[int, int]] = []  # bytes and characters of each document
    parts = ray_data.tokenized if ray_data.requested() else tokenized
    with tqdm(desc=f"preprocess {split}", unit="B", unit_scale=True, disable=None) as bar:
        for part in parts(paths.prepared(split), tokenizer):
            if part.size:
                starts.append(shards.total)
                sizes.append(part.size)
                bar.update(part.size[0])
                shards.add(np.array([START]))
            shards.add(part.tokens)
    index = np.array([*starts, shards.close()], np.int64)
    np.save(folder / "starts.npy", index)
    np.save(folder / "sizes.npy", np.array(sizes, np.int64))
    np.save(folder / "ids.npy", tables.ids(split))
    lengths = np.diff(index) - 1
    whole = dict(zip(("bytes", "characters"), np.array(sizes).sum(0).tolist()))
    return {"documents": len(lengths), "tokens": int(lengths.sum()), **whole, "document": tables.spread(lengths)}


def count(split: str, vocabulary: int) -> np.ndarray:
    """How often each of the `vocabulary` tokens occurs in a split that is written."""
    counts = np.zeros(vocabulary, np.int64)
    for path in sorted(paths.features(split).glob("tokens-*.npy")):
        tokens = np.load(path, mmap_mode="r")
        for start in range(0, len(tokens), COUNTED):
            counts += np.bincount(tokens[start : start + COUNTED], minlength=vocabulary)
    return counts


class Shards:
    """A split's tokens, written file by file."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        self._folder, self._held = folder, np.empty(SHARD, tables.smallest(vocabulary))
        self.total = self._size = self._number = 0

    def add(self, tokens: np.ndarray) -> None:
        self.total += len(tokens)
        while len(tokens):
            part, tokens = tokens[: SHARD - self._size], tokens[SHARD - self._size :]
            self._held[self._size : self._size + len(part)] = part
            self._size += len(part)
            if self._size == SHARD:
                self._flush()

    def close(self) -> int:
        """Writes the rest; returns the number of all tokens."""
        if self._size:
            self._flush()
        return self.total

    def _flush(self) -> None:
        kept = self._held[: self._size]
        np.save(self._folder / f"tokens-{self._number:05}.npy", kept)
        self._size, self._number = 0, self._number + 1


def sample() -> Iterator[str]:
    """All pieces of the training texts, or every n-th, so that they have at most SAMPLE characters or so."""
    characters = sum(map(len, documents(paths.prepared("train"))))
    every = -(-characters // SAMPLE)
    pieces = (piece for text in documents(paths.prepared("train")) for piece in text_parts(text))
    yield from islice(pieces, None, None, every)
