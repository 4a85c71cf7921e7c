"""Arrays on disk -> the order in which training sees them, a pure function of (seed, epoch).

Examples of any length are sorted into a few buckets, so that a short text does not pay for a long one and yet only a
few shapes are compiled.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pipeline.runtime.errors import UserError
from pipeline.tasks import Examples, Task, lengths

BLOCK = 128  # steps a dispatch, at most: what a dispatch costs is then lost in them
BUCKETS = 6
MULTIPLE = 8  # of tokens: buckets end at such lengths


class Block(NamedTuple):
    """Batches of one shape, one after the other."""

    rows: Int[np.ndarray, "s b"]  # -1 fills up a batch
    length: int  # in tokens; 0 where all examples are of one shape


def load(folder: Path, task: Task) -> Examples:
    """A split that preprocess wrote, mapped into memory. Raises UserError where it is missing or cut short."""
    try:
        inputs = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in task.signature(1, 1)
        }
        targets = np.load(folder / "targets.npy", allow_pickle=False)
        ragged = folder / "starts.npy"
        starts = np.load(ragged, allow_pickle=False) if ragged.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({error}); `dvc repro` makes it anew") from error
    examples = Examples(inputs, targets, starts)
    rows = {len(array) for array in inputs.values()}
    if rows != {len(targets) if starts is None or len(starts) != len(targets) + 1 else int(starts[-1])}:
        raise UserError(f"{folder}: its arrays are of different lengths; run `dvc repro -f preprocess`")
    return examples


def bucket_lengths(sizes: Int[np.ndarray, " n"] | None) -> tuple[int, ...]:
    """The lengths at which buckets end, so that the fewest tokens are padding: at most six, multiples of eight.

    By dynamic programming over the lengths that occur.
    """
    if sizes is None:
        return (0,)
    rounded, counts = np.unique(-(-np.maximum(sizes, 1) // MULTIPLE) * MULTIPLE, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # examples shorter than each
    cost = [np.where(np.arange(len(rounded) + 1) == 0, 0.0, np.inf)]  # of the first so many lengths, in 0 buckets
    choice: list[list[int]] = []
    for _ in range(min(BUCKETS, len(rounded))):
        last, now, best = cost[-1], [0.0], [0]
        for end in range(1, len(rounded) + 1):
            totals = last[:end] + (before[end] - before[:end]) * rounded[end - 1]
            best.append(int(totals.argmin()))
            now.append(float(totals[best[-1]]))
        cost.append(np.array(now))
        choice.append(best)
    found, end = [], len(rounded)
    for best in reversed(choice):
        if end:
            found.append(int(rounded[end - 1]))
            end = best[end]
    return tuple(sorted(found))


def epoch_batches(seed: int, epoch: int, examples: Examples, *, batch: int, ends: tuple[int, ...]) -> list[Block]:
    """The batches of an epoch: a fresh permutation, cut into batches bucket by bucket, and these in random order.

    Examples of one shape: what does not fill a batch waits for another epoch. Examples of any length: each is used, and
    the last batch of a bucket is filled up. Raises UserError where there are fewer examples than make one batch.
    """
    random = np.random.default_rng((seed, epoch))
    permutation = random.permutation(len(examples)).astype(np.int32)
    sizes = lengths(examples)
    if sizes is None:
        steps = steps_per_epoch(examples, batch=batch, ends=ends)
        rows = permutation[: steps * batch].reshape(steps, batch)
        return [Block(rows[start : start + BLOCK], 0) for start in range(0, steps, BLOCK)]
    batches = []
    for bucket in sorted_by(sizes, permutation, ends):
        batches += [Block(padded(some, batch)[None], bucket.length) for some in cut(bucket.rows, batch)]
    batches = [batches[i] for i in random.permutation(len(batches))]
    blocks = batches[:1]
    for after in batches[1:]:  # neighbours of one shape share a dispatch
        last = blocks[-1]
        if last.length == after.length and len(last.rows) < BLOCK:
            blocks[-1] = Block(np.concatenate([last.rows, after.rows]), last.length)
        else:
            blocks.append(after)
    return blocks


class Bucket(NamedTuple):
    rows: Int[np.ndarray, " n"]
    length: int


def sorted_by(sizes: Int[np.ndarray, " n"] | None, rows: Int[np.ndarray, " n"], ends: tuple[int, ...]) -> list[Bucket]:
    """The `rows` by bucket, in their order; what is longer than the last end lies in the last bucket."""
    if sizes is None:
        return [Bucket(rows, 0)]
    which = np.minimum(np.searchsorted(ends, sizes[rows]), len(ends) - 1)
    return [Bucket(rows[which == i], end) for i, end in enumerate(ends) if (which == i).any()]


def cut(rows: Int[np.ndarray, " n"], batch: int) -> list[Int[np.ndarray, " b"]]:
    """The rows in batches; the last one may be short."""
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def padded(rows: Int[np.ndarray, " n"], batch: int) -> Int[np.ndarray, " b"]:
    """A batch, filled up with -1."""
    return np.pad(rows, (0, batch - len(rows)), constant_values=-1).astype(np.int32)


def steps_per_epoch(examples: Examples, *, batch: int, ends: tuple[int, ...]) -> int:
    """How many batches an epoch has."""
    sizes = lengths(examples)
    if sizes is not None:
        return sum(len(cut(bucket.rows, batch)) for bucket in sorted_by(sizes, np.arange(len(sizes)), ends))
    if len(examples) < batch:
        raise UserError(f"batch_size: {batch} is more than the {len(examples):,} training examples; lower it")
    return len(examples) // batch
