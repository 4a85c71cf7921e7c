"""A split of texts as one sequence of token ids, mapped into memory, and the windows of it that training sees.

The sequence is split among files of one or two hundred megabytes; token 0 precedes each document. Which windows form a
batch depends only on the seed and the step. Axes: n windows, t tokens of a window, m number of documents plus one.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt

from pipeline.loaders.buckets import BLOCK, Block
from pipeline.runtime.errors import UserError

SHARDS = "tokens-*.npy"


class TokenStore:
    """Token ids by their position in the sequence, and where its documents begin."""

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
        """`length` tokens from each of the positions `first`; zeros for a position of -1, and after the end."""
        windows = np.zeros((len(first), length), self.shards[0].dtype)
        for row, start in zip(windows, first):
            filled = 0
            while start >= 0 and filled < length and start + filled < len(self):
                number = int(np.searchsorted(self.ends, start + filled, side="right"))
                shard = self.shards[number]
                offset = int(start + filled - (self.ends[number] - len(shard)))
                part = shard[offset : offset + length - filled]
                row[filled : filled + len(part)] = part
                filled += len(part)
        return windows


def load(folder: Path) -> TokenStore:
    """A split that preprocess wrote. Raises UserError where a file is missing or cut short."""
    try:
        starts = np.load(folder / "starts.npy", allow_pickle=False)
        shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob(SHARDS))]
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({error}): run `dvc repro -f preprocess`") from error
    tokens = sum(len(shard) for shard in shards)
    if tokens != starts[-1]:
        raise UserError(
            f"{folder}: its {len(shards)} files {SHARDS} hold {tokens:,} tokens, its index says {starts[-1]:,}: "
            "run `dvc repro -f preprocess`"
        )
    return TokenStore(shards, starts)


def steps_per_pass(tokens: int, *, context: int, batch: int) -> int:
    """The number of batches in a pass over the text. Raises UserError where there is not even one."""
    windows = (tokens - 1) // context - 1  # one fewer than would fit: a pass begins at a random position
    if windows < batch:
        raise UserError(
            f"training.batch_size: {batch} windows of {context} tokens are more than the {tokens:,} training tokens: "
            "lower batch_size or context, or add text"
        )
    return windows // batch


def epoch_windows(seed: int, first: int, steps: int, *, tokens: int, context: int, batch: int) -> list[Block]:
    """The batches of `steps` steps from step `first` on. Each pass cuts the text into windows from another position and
    shuffles them; windows that do not fill a batch wait for another pass.
    """
    per_pass = steps_per_pass(tokens, context=context, batch=batch)
    parts = []
    while steps > 0:
        number, done = divmod(first, per_pass)
        random = np.random.default_rng((seed, number))
        phase = int(random.integers(context))
        windows = random.permutation((tokens - 1) // context - 1)[: per_pass * batch]
        part = (phase + windows.astype(np.int64) * context).reshape(per_pass, batch)[done : done + steps]
        parts.append(part)
        first, steps = first + len(part), steps - len(part)
    rows = np.concatenate(parts)
    return [Block(rows[start : start + BLOCK], context) for start in range(0, len(rows), BLOCK)]
