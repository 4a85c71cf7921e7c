"""Arrays on disk -> the order in which training sees them, a pure function of (seed, epoch).

Examples of any length are grouped into a few buckets by length: a short text is not padded to the longest one's length,
and yet only a few shapes are compiled.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pipeline.examples.batch import Examples, lengths
from pipeline.examples.inputs import Inputs
from pipeline.runtime.errors import UserError

BLOCK = 128  # steps in a dispatch, at most: enough to make its overhead negligible
BUCKETS = 6  # at most
MULTIPLE = 8  # a bucket's length is a multiple of so many tokens


class Block(NamedTuple):
    """Batches of one shape, in order."""

    rows: Int[np.ndarray, "s b"]  # indices of examples; -1 is padding
    length: int  # in tokens; 0 where all examples are of one shape


def load(folder: Path, kind: Inputs) -> Examples:
    """A split that preprocess wrote, mapped into memory. Raises UserError where it is missing or cut short."""
    try:
        inputs = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in kind.signature(1, 1)
        }
        targets = np.load(folder / "targets.npy", allow_pickle=False)
        ragged = folder / "starts.npy"
        starts = np.load(ragged, allow_pickle=False) if ragged.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({error}): run `dvc repro`") from error
    examples = Examples(inputs, targets, starts)
    rows = {len(array) for array in inputs.values()}
    if rows != {len(targets) if starts is None or len(starts) != len(targets) + 1 else int(starts[-1])}:
        raise UserError(f"{folder}: its arrays have different lengths: run `dvc repro -f preprocess`")
    return examples


def bucket_lengths(sizes: Int[np.ndarray, " n"] | None) -> tuple[int, ...]:
    """The lengths of at most BUCKETS buckets, multiples of MULTIPLE, so that as few tokens as possible are padding.

    By dynamic programming over the lengths that occur.
    """
    if sizes is None:
        return (0,)
    rounded, counts = np.unique(-(-np.maximum(sizes, 1) // MULTIPLE) * MULTIPLE, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # examples shorter than each length
    # Tokens with padding of the examples of the first i lengths, by i; with no bucket that is possible only for i = 0.
    costs = np.where(np.arange(len(rounded) + 1) == 0, 0.0, np.inf)
    choices: list[list[int]] = []  # for each number of buckets and each i: where its last bucket begins
    for _ in range(min(BUCKETS, len(rounded))):
        next_costs, choice = [0.0], [0]
        for end in range(1, len(rounded) + 1):
            totals = costs[:end] + (before[end] - before[:end]) * rounded[end - 1]
            choice.append(int(totals.argmin()))
            next_costs.append(float(totals[choice[-1]]))
        costs = np.array(next_costs)
        choices.append(choice)
    ends, end = [], len(rounded)
    for choice in reversed(choices):
        if end:
            ends.append(int(rounded[end - 1]))
            end = choice[end]
    return tuple(sorted(ends))


def epoch_batches(seed: int, epoch: int, examples: Examples, *, batch: int, ends: tuple[int, ...]) -> list[Block]:
    """The batches of an epoch: a new permutation, split into batches bucket by bucket, and these in random order.

    Examples of one shape that do not fill a batch wait for another epoch. Examples of any length are all used, and the
    last batch of a bucket is padded. Raises UserError where there are too few examples for one batch.
    """
    random = np.random.default_rng((seed, epoch))
    permutation = random.permutation(len(examples)).astype(np.int32)
    sizes = lengths(examples)
    if sizes is None:
        steps = steps_per_epoch(examples, batch=batch, ends=ends)
        rows = permutation[: steps * batch].reshape(steps, batch)
        return [Block(rows[start : start + BLOCK], 0) for start in range(0, steps, BLOCK)]
    batches = []
    for bucket in group_by_length(sizes, permutation, ends):
        batches += [Block(pad_batch(some, batch)[None], bucket.length) for some in batched(bucket.rows, batch)]
    batches = [batches[i] for i in random.permutation(len(batches))]
    blocks = batches[:1]
    for after in batches[1:]:  # adjacent batches of one shape share a dispatch
        last = blocks[-1]
        if last.length == after.length and len(last.rows) < BLOCK:
            blocks[-1] = Block(np.concatenate([last.rows, after.rows]), last.length)
        else:
            blocks.append(after)
    return blocks


class Bucket(NamedTuple):
    rows: Int[np.ndarray, " n"]
    length: int


def group_by_length(
    sizes: Int[np.ndarray, " n"] | None, rows: Int[np.ndarray, " n"], ends: tuple[int, ...]
) -> list[Bucket]:
    """The `rows` by bucket, in their order. Examples longer than every bucket are in the last one."""
    if sizes is None:
        return [Bucket(rows, 0)]
    which = np.minimum(np.searchsorted(ends, sizes[rows]), len(ends) - 1)
    return [Bucket(rows[which == i], end) for i, end in enumerate(ends) if (which == i).any()]


def batched(rows: Int[np.ndarray, " n"], batch: int) -> list[Int[np.ndarray, " b"]]:
    """The rows in batches; the last may be short."""
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def pad_batch(rows: Int[np.ndarray, " n"], batch: int) -> Int[np.ndarray, " b"]:
    """A batch, padded with -1."""
    return np.pad(rows, (0, batch - len(rows)), constant_values=-1).astype(np.int32)


def steps_per_epoch(examples: Examples, *, batch: int, ends: tuple[int, ...]) -> int:
    """The number of batches in an epoch. Raises UserError where there is not even one."""
    sizes = lengths(examples)
    if sizes is not None:
        return sum(len(batched(bucket.rows, batch)) for bucket in group_by_length(sizes, np.arange(len(sizes)), ends))
    if len(examples) < batch:
        raise UserError(f"batch_size: {batch} is more than the {len(examples):,} training examples; lower it")
    return len(examples) // batch
