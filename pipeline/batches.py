"""Arrays on disk -> the order in which training sees them, a pure function of (seed, epoch)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from pipeline.errors import UserError


class Examples(NamedTuple):
    """One split: inputs and targets, row for row."""

    inputs: Shaped[np.ndarray, "n ..."]
    targets: Int[np.ndarray, " n"]


def load(folder: Path) -> Examples:
    """A split that preprocess wrote, mapped into memory. Raises UserError where it is missing or cut short."""
    try:
        inputs = np.load(folder / "inputs.npy", mmap_mode="r", allow_pickle=False)
        targets = np.load(folder / "targets.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({error}); `dvc repro` makes it anew") from error
    if len(inputs) != len(targets):
        raise UserError(f"{folder}: {len(inputs):,} inputs but {len(targets):,} targets; run `dvc repro -f preprocess`")
    return Examples(inputs, targets)


def order(seed: int, epoch: int, *, examples: int, batch: int) -> Int[np.ndarray, "s b"]:
    """The rows of each batch of an epoch: a fresh permutation, less what does not fill a batch.

    Raises UserError where there are fewer examples than make one batch.
    """
    steps = examples // batch
    if not steps:
        raise UserError(f"batch_size: {batch} is more than the {examples:,} training examples; lower it")
    permutation = np.random.default_rng((seed, epoch)).permutation(examples)
    return permutation[: steps * batch].reshape(steps, batch).astype(np.int32)
