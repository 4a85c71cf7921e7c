"""Batches for training: from arrays on the device or, where those would not fit there, from files, read ahead of the
steps. Both give the same batches, and so the same bits.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import Int

from pipeline.examples.batch import Examples, lengths
from pipeline.loaders import buckets, token_store
from pipeline.loaders.buckets import BLOCK, Block
from pipeline.loaders.device_examples import DeviceExamples, LoadedBlock, put
from pipeline.loaders.prefetch import prefetch
from pipeline.loaders.token_store import TokenStore
from pipeline.parallel import sharding

RESIDENT = 256 << 20  # bytes of tokens, at most, that are kept on the device


class Loader(Protocol):
    size: int  # of the split, in `unit`
    steps: int  # in an epoch
    unit: str  # examples or tokens
    weight: int  # units in a row of a batch

    def epoch(self, number: int) -> list[Block]:
        """The batches of an epoch, counted from 1."""
        ...

    def load(self, blocks: list[Block], steps_done: int) -> Iterator[LoadedBlock]:
        """These blocks without their first `steps_done` steps."""
        ...


class ExampleLoader:
    """All examples of a split in each epoch, in another order each time."""

    unit, weight = "examples", 1

    def __init__(
        self,
        examples: Examples,
        *,
        seed: int,
        batch: int,
        devices: jax.sharding.Mesh | None = None,
        resident: float | None = None,
    ) -> None:
        self._examples, self._seed, self._batch = examples, seed, batch
        self._data = DeviceExamples(examples, devices, resident=resident)
        self._ends = buckets.bucket_lengths(lengths(examples))
        self.size = len(examples)
        self.steps = buckets.steps_per_epoch(examples, batch=batch, ends=self._ends)

    def epoch(self, number: int) -> list[Block]:
        return buckets.epoch_batches(self._seed, number, self._examples, batch=self._batch, ends=self._ends)

    def load(self, blocks: list[Block], steps_done: int) -> Iterator[LoadedBlock]:
        yield from self._data.load(remaining(blocks, steps_done))


class WindowLoader:
    """Windows of `context` tokens of a text, `steps` batches of them an epoch; without `steps`, those of one pass."""

    unit = "tokens"

    def __init__(
        self,
        text: TokenStore,
        *,
        seed: int,
        batch: int,
        context: int,
        steps: int | None,
        resident: int = RESIDENT,
        devices: jax.sharding.Mesh | None = None,
    ) -> None:
        steps_per_pass = token_store.steps_per_pass(len(text), context=context, batch=batch)
        self.size, self.steps, self.weight = len(text), steps or steps_per_pass, context
        self._text, self._seed, self._batch, self._context = text, seed, batch, context
        self._devices = devices
        self._data = None if devices or text.nbytes > resident else put(_examples(text.whole()), devices)

    def epoch(self, number: int) -> list[Block]:
        shape = {"tokens": len(self._text), "context": self._context, "batch": self._batch}
        return token_store.epoch_windows(self._seed, (number - 1) * self.steps, self.steps, **shape)

    def load(self, blocks: list[Block], steps_done: int) -> Iterator[LoadedBlock]:
        if self._data is None:
            yield from prefetch(self._read(block) for block in remaining(blocks, steps_done))
            return
        for block in remaining(blocks, steps_done):
            yield LoadedBlock(self._data, block.rows.astype(np.int32), block.length)

    def _read(self, block: Block) -> LoadedBlock:
        """The block's windows, end to end: with several devices, the first one's windows of all steps, then the second
        one's, and so on. `rows` says where each window begins in its own device's part.
        """
        size, parts = self._context + 1, sharding.batch_shards(self._devices)
        rows = np.full((BLOCK, parts, self._batch // parts), -1, np.int64)  # always BLOCK steps: one compilation
        rows[: len(block.rows)] = block.rows.reshape(len(block.rows), *rows.shape[1:])
        rows = rows.swapaxes(0, 1).reshape(-1)
        starts = np.arange(rows.size // parts, dtype=np.int32).reshape(BLOCK, -1) * size

        def read(index: Any) -> Int[np.ndarray, " n"]:
            first, last, _ = index[0].indices(rows.size * size)
            return self._text.windows(rows[first // size : last // size], size).reshape(-1)

        if self._devices is None:
            tokens = jax.device_put(read((slice(None),)))
        else:  # JAX asks a process only for the windows of its own devices
            tokens = jax.make_array_from_callback((rows.size * size,), sharding.batch_sharding(self._devices), read)
        return LoadedBlock(_examples(tokens), np.tile(starts, parts)[: len(block.rows)], block.length)


def _examples(tokens: Any) -> Examples:
    return Examples({"tokens": tokens}, np.zeros(0, np.int32), None)  # the target of a token is the one after it


def remaining(blocks: list[Block], steps_done: int) -> Iterator[Block]:
    """The blocks without their first `steps_done` steps."""
    for block in blocks:
        if steps_done < len(block.rows):
            yield Block(block.rows[steps_done:], block.length)
        steps_done = max(0, steps_done - len(block.rows))
