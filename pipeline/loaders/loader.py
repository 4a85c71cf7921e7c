"""What gives a training run its batches: from arrays that lie on the device or, where those would not fit there, from
files, a block ahead of the steps. Both give the same batches, and so the same bits.
"""

import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import numpy as np
from jaxtyping import Int

from pipeline.loaders import buckets, token_store
from pipeline.loaders.buckets import BLOCK, Block
from pipeline.loaders.token_store import TokenStore
from pipeline.parallel import sharding
from pipeline.tasks import Examples, lengths

RESIDENT = 256 << 20  # bytes of tokens that are put on the device as they are
AHEAD = 2  # blocks that are read before they are asked for

T = TypeVar("T")


class Served(NamedTuple):
    """Steps of one shape: `rows` says which of `data` each takes."""

    data: Examples
    rows: Int[np.ndarray, "s b"]
    length: int


class Loader(Protocol):
    size: int  # of all there is
    steps: int  # an epoch
    unit: str  # in which size is, and a person counts what has been seen
    weight: int  # so many of them are in a row of a batch

    def epoch(self, number: int) -> list[Block]:
        """The batches of an epoch, counted from 1."""
        ...

    def serve(self, blocks: list[Block], taken: int) -> Iterator[Served]:
        """These blocks, but for the first `taken` steps."""
        ...


class ExampleLoader:
    """All examples of a split in an epoch, in another order each time."""

    unit, weight = "examples", 1

    def __init__(self, examples: Examples, *, seed: int, batch: int, devices: jax.sharding.Mesh | None = None) -> None:
        self._examples, self._seed, self._batch = examples, seed, batch
        self._data = put(examples, devices)
        self._ends = buckets.bucket_lengths(lengths(examples))
        self.size = len(examples)
        self.steps = buckets.steps_per_epoch(examples, batch=batch, ends=self._ends)

    def epoch(self, number: int) -> list[Block]:
        return buckets.epoch_batches(self._seed, number, self._examples, batch=self._batch, ends=self._ends)

    def serve(self, blocks: list[Block], taken: int) -> Iterator[Served]:
        for block in left(blocks, taken):
            yield Served(self._data, block.rows, block.length)


class WindowLoader:
    """Windows of a corpus, `steps` batches of them an epoch: those of one pass, if that is not said."""

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
        a_pass = token_store.steps_per_pass(len(text), context=context, batch=batch)
        self.size, self.steps, self.weight = len(text), steps or a_pass, context
        self._corpus, self._seed, self._batch, self._context = text, seed, batch, context
        self._devices = devices
        self._data = None if devices or text.nbytes > resident else put(_examples(text.whole()), devices)

    def epoch(self, number: int) -> list[Block]:
        shape = {"tokens": len(self._corpus), "context": self._context, "batch": self._batch}
        return token_store.epoch_windows(self._seed, (number - 1) * self.steps, self.steps, **shape)

    def serve(self, blocks: list[Block], taken: int) -> Iterator[Served]:
        if self._data is None:
            yield from prefetch(self._read(block) for block in left(blocks, taken))
            return
        for block in left(blocks, taken):
            yield Served(self._data, block.rows.astype(np.int32), block.length)

    def _read(self, block: Block) -> Served:
        """The windows of a block one after the other: of several devices, those of all steps that the first one takes,
        then those of the next. Where one begins, `rows` says by the place in what its device has.
        """
        size, takers = self._context + 1, sharding.batch_shards(self._devices)
        rows = np.full((BLOCK, takers, self._batch // takers), -1, np.int64)  # of one size: nothing compiles twice
        rows[: len(block.rows)] = block.rows.reshape(len(block.rows), *rows.shape[1:])
        rows = rows.swapaxes(0, 1).reshape(-1)
        places = np.arange(rows.size // takers, dtype=np.int32).reshape(BLOCK, -1) * size

        def read(part: Any) -> Int[np.ndarray, " n"]:
            first, last, _ = part[0].indices(rows.size * size)
            return self._corpus.windows(rows[first // size : last // size], size).reshape(-1)

        if self._devices is None:
            tokens = jax.device_put(read((slice(None),)))
        else:  # a process is asked for what its own devices take
            tokens = jax.make_array_from_callback((rows.size * size,), sharding.batch_sharding(self._devices), read)
        return Served(_examples(tokens), np.tile(places, takers)[: len(block.rows)], block.length)


def put(examples: Examples, devices: jax.sharding.Mesh | None) -> Examples:
    """The examples on the device, or whole on each of several."""
    if devices is None:
        return jax.device_put(examples)
    everywhere = sharding.replicated(devices)
    return jax.tree.map(lambda array: sharding.put(array, everywhere), examples)


def _examples(tokens: Any) -> Examples:
    return Examples({"tokens": tokens}, np.zeros(0, np.int32), None)  # the target of a token is the one after it


def left(blocks: list[Block], taken: int) -> Iterator[Block]:
    """The blocks without their first `taken` steps."""
    for block in blocks:
        if taken < len(block.rows):
            yield Block(block.rows[taken:], block.length)
        taken = max(0, taken - len(block.rows))


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The items, made by a thread that is up to AHEAD of them in advance. Raises what making them raises."""
    queue: Queue[Callable[[], T] | None] = Queue(AHEAD)
    stopped = threading.Event()

    def fail(error: BaseException) -> T:
        raise error

    def make() -> None:
        try:
            for item in items:
                queue.put(lambda item=item: item)
                if stopped.is_set():
                    return
        except BaseException as error:
            queue.put(lambda error=error: fail(error))
        queue.put(None)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while found := queue.get():
            yield found()
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room in the queue
            while not queue.empty():
                queue.get()
            thread.join(0.01)
