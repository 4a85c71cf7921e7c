"""Examples of a split for steps on the device: all of them there or, where they would take too much of its memory, read
from the files as steps need them, ahead of these. Both give the same batches, and so the same bits.

Axes: n examples or their tokens, s steps, b examples of a batch.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, Shaped

from pipeline.examples.batch import Examples
from pipeline.loaders.buckets import BLOCK, Block
from pipeline.loaders.prefetch import prefetch
from pipeline.parallel import device_memory, processes, sharding

SHARE = 0.25  # of the device's memory, at most, for the examples of a split
PIECE = 32 << 20  # bytes that are read together, at most, unless a single batch has more


class LoadedBlock(NamedTuple):
    """Batches of one shape: `rows` are indices into `data`."""

    data: Examples
    rows: Int[np.ndarray, "s b"]
    length: int


class DeviceExamples:
    """`resident` is how many bytes of examples are kept on the device at most."""

    def __init__(
        self, examples: Examples, devices: jax.sharding.Mesh | None = None, *, resident: float | None = None
    ) -> None:
        self.examples, self._devices = examples, devices
        most = SHARE * device_memory.available() if resident is None else resident
        (streams,) = processes.agree_max(int(size(examples) > most))  # all processes must run the same program
        self._data = None if streams else put(examples, devices)

    def load(self, blocks: Iterable[Block], *, steps: int = BLOCK) -> Iterator[LoadedBlock]:
        """The blocks, of which none has more than `steps` steps; those that are read may come in several pieces."""
        if self._data is None:
            yield from prefetch(piece for block in blocks for piece in self._pieces(block, steps))
            return
        for block in blocks:
            yield LoadedBlock(self._data, block.rows, block.length)

    def _pieces(self, block: Block, steps: int) -> Iterator[LoadedBlock]:
        """Each has as many examples as the others of the same shape: the steps compile once."""
        batch = block.rows.shape[1]
        steps = int(np.clip(PIECE // (batch * self._bytes(block.length)), 1, steps))
        for start in range(0, len(block.rows), steps):
            rows = block.rows[start : start + steps]
            data, places = take(self.examples, rows.reshape(-1), count=steps * batch, length=block.length)
            yield LoadedBlock(put(data, self._devices), places.reshape(rows.shape), block.length)

    def _bytes(self, length: int) -> int:
        """Of an example."""
        of_a_row = sum(array.itemsize * int(np.prod(array.shape[1:])) for array in self.examples.inputs.values())
        return of_a_row * max(length, 1)


def take(
    examples: Examples, rows: Int[np.ndarray, " n"], *, count: int, length: int
) -> tuple[Examples, Int[np.ndarray, " n"]]:
    """These examples alone, up to `length` tokens of each, and the place of each row among them.

    A row of -1 is padding, and stays -1. The arrays have room for `count` examples, whatever the rows. They are in the
    order of the files, so that a disk reads forwards.
    """
    order = np.argsort(np.where(rows >= 0, rows, np.iinfo(rows.dtype).max), kind="stable")
    places = np.empty(len(rows), np.int32)
    places[order] = np.arange(len(rows))
    places[rows < 0] = -1
    chosen = rows[order][: (rows >= 0).sum()]
    of_rows = partial(padded, index=chosen, count=count)
    if examples.starts is None:
        return Examples(jax.tree.map(of_rows, examples.inputs), of_rows(examples.targets), None), places
    first = examples.starts[chosen]
    sizes = np.minimum(examples.starts[chosen + 1] - first, length)
    starts = np.zeros(count + 1, examples.starts.dtype)
    starts[1 : len(chosen) + 1] = np.cumsum(sizes)
    starts[len(chosen) + 1 :] = starts[len(chosen)]
    tokens = np.repeat(first - starts[: len(chosen)], sizes) + np.arange(starts[-1])
    of_tokens = partial(padded, index=tokens, count=count * length)
    # Where each example has one token, its target is the token's, and both ways give the same.
    targets = (of_rows if len(examples.targets) == len(examples) else of_tokens)(examples.targets)
    return Examples(jax.tree.map(of_tokens, examples.inputs), targets, starts), places


def padded(
    array: Shaped[Array | np.ndarray, "n ..."], *, index: Int[np.ndarray, " m"], count: int
) -> Shaped[np.ndarray, "k ..."]:
    """The rows of an array that `index` names, then zeros, `count` rows in all."""
    out = np.zeros((count, *array.shape[1:]), array.dtype)
    np.take(array, index, axis=0, out=out[: len(index)], mode="clip")  # checked already; "raise" would copy once more
    return out


def size(examples: Examples) -> int:
    """In bytes."""
    return sum(array.nbytes for array in jax.tree.leaves(examples))


def put(examples: Examples, devices: jax.sharding.Mesh | None) -> Examples:
    """The examples on the device, or replicated on each of several."""
    if devices is None:
        return jax.device_put(examples)
    everywhere = sharding.replicated(devices)
    return jax.tree.map(lambda array: sharding.put(array, everywhere), examples)
