"""A split of texts as one row of token numbers, mapped into memory, and which windows of it training sees.

The row lies in files of a hundred megabytes or two; token 0 stands before each document. Which windows make a batch is
a function of the seed and the step alone. Axes: n windows, t tokens of a window, m documents and one.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt

from pipeline.loaders.buckets import BLOCK, Block
from pipeline.runtime.errors import UserError

SHARDS = "tokens-*.npy"


class TokenStore:
    """Token numbers by their place in the row, and where its documents begin."""

    def __init__(self, shards: list[UInt[np.ndarray, " n"]], starts: Int[np.ndarray, " m"]) -> None:
        self.shards, self.starts = shards, starts
        self.ends = np.cumsum([len(shard) for shard in shards])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def nbytes(self) -> int:
        return sum(shard.nbytes for shard in self.shards)

    def whole(self) -> UInt[np.ndarray, " n"]:
        return np.concatenate(self.shards)

    def windows(self, first: Int[np.ndarray, " n"], length: int) -> UInt[np.ndarray, "n t"]:
        """`length` tokens from each of the places `first` on; zeros from a place of -1, and after the end."""
        found = np.zeros((len(first), length), self.shards[0].dtype)
        for row, place in zip(found, first):
            at = 0
            while place >= 0 and at < length and place + at < len(self):
                which = int(np.searchsorted(self.ends, place + at, side="right"))
                shard = self.shards[which]
                offset = int(place + at - (self.ends[which] - len(shard)))
                part = shard[offset : offset + length - at]
                row[at : at + len(part)] = part
                at += len(part)
        return found


def load(folder: Path) -> TokenStore:
    """A split that preprocess wrote. Raises UserError where a file is missing or cut short."""
    try:
        starts = np.load(folder / "starts.npy", allow_pickle=False)
        shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob(SHARDS))]
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({error}); `dvc repro -f preprocess` makes it anew") from error
    there = sum(len(shard) for shard in shards)
    if there != starts[-1]:
        raise UserError(
            f"{folder}: its {len(shards)} files {SHARDS} hold {there:,} tokens, its index says {starts[-1]:,}: "
            "`dvc repro -f preprocess` makes them anew"
        )
    return TokenStore(shards, starts)


def steps_per_pass(tokens: int, *, context: int, batch: int) -> int:
    """How many batches a pass over the row has. Raises UserError where it is not even one."""
    windows = (tokens - 1) // context - 1  # one less than there is room for: a pass begins at a random place
    if windows < batch:
        raise UserError(
            f"batch_size: {batch} windows of {context} tokens are more than the {tokens:,} tokens for training hold: "
            "lower batch_size, or context, or bring more text"
        )
    return windows // batch


def epoch_windows(seed: int, first: int, steps: int, *, tokens: int, context: int, batch: int) -> list[Block]:
    """The batches of the steps from `first` on: in each pass the row is cut into windows from another place on, and
    these are shuffled. What does not fill a batch waits for another pass.
    """
    a_pass = steps_per_pass(tokens, context=context, batch=batch)
    parts = []
    while steps > 0:
        number, at = divmod(first, a_pass)
        random = np.random.default_rng((seed, number))
        phase = int(random.integers(context))
        windows = random.permutation((tokens - 1) // context - 1)[: a_pass * batch]
        part = (phase + windows.astype(np.int64) * context).reshape(a_pass, batch)[at : at + steps]
        parts.append(part)
        first, steps = first + len(part), steps - len(part)
    rows = np.concatenate(parts)
    return [Block(rows[start : start + BLOCK], context) for start in range(0, len(rows), BLOCK)]
