"""Continuous batching: the texts that a language model writes at one time share its decoding steps. Each joins and
leaves between two tokens (Yu et al. 2022, "Orca").

Every step has the same shape, GROUP rows, and what a row becomes does not depend on the other rows: so a seed gives the
same text whatever else is being written. A lone text pays for a group, and not for all rows.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ...encoders.byte_tokenizer import START
from ...generator import CHUNKS, Generator, Sampling, Tokens, sample_token, until
from ..failures import Busy, Leaving

GROUP = 8  # texts that share a step


@dataclass(eq=False)
class Stream:
    """A text that is being written."""

    most: int  # tokens to write
    sampling: Sampling
    random: np.random.Generator
    seen: list[int]  # the prompt's tokens and those written
    stops: Sequence[str]
    parts: "asyncio.Queue[str | Exception | None]" = field(default_factory=asyncio.Queue)  # None is the end
    written: int = 0
    cached: int = 0  # tokens in its row of the cache
    abandoned: bool = False  # by its client
    fed: "deque[int]" = field(default_factory=deque)
    reason: str = "length"  # why it ended

    def text(self, generator: Generator) -> Iterator[str]:
        """The text that the tokens in `fed` add, a part for each."""

        def tokens() -> Iterator[int]:
            while self.fed:
                yield self.fed.popleft()

        return until(generator.tokenizer.decode(tokens()), self.stops)


class Decoder:
    """Writes up to GROUP times `groups` texts at once, in a thread of its own; up to `room` more wait. Its methods are
    for the thread of one event loop.
    """

    def __init__(self, generator: Generator, *, groups: int, room: int) -> None:
        self._generator, self._room = generator, room
        self._caches = [generator.init_cache(GROUP) for _ in range(groups)]
        self._rows: list[Stream | None] = [None] * (GROUP * groups)
        self._texts: dict[Stream, Iterator[str]] = {}
        self._queue: deque[Stream] = deque()
        self._thread = ThreadPoolExecutor(1)
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        axes = generator.batch_axes

        def insert(cache: dict[str, Any], own: dict[str, Any], row: Any) -> dict[str, Any]:
            update = jax.lax.dynamic_update_slice_in_dim
            return {name: update(cache[name], own[name], row, axes[name]) for name in cache}

        self._insert = jax.jit(insert, donate_argnums=0)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def warm_up(self) -> None:
        """Compiles every shape."""
        generator = self._generator
        own = generator.init_cache()
        for size in CHUNKS:
            if generator.bounded and size > generator.context:
                continue
            _, own = generator.decode(generator.init_cache(), np.zeros(size, np.int32))
        self._caches[0] = self._insert(self._caches[0], own, 0)
        _, self._caches[0] = generator.step(self._caches[0], np.zeros((GROUP, 1), np.int32))

    async def write(self, prompt: Tokens, most: int, sampling: Sampling, *, seed: int, stops: Sequence[str]) -> Stream:
        """The text that continues the prompt: `parts` has it as it comes. Raises Busy, and Leaving after `close`."""
        if self._closed:
            raise Leaving
        if len(self._queue) >= self._room:
            raise Busy
        stream = Stream(most, sampling, np.random.default_rng(seed), [START, *prompt.tolist()], stops)
        self._queue.append(stream)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return stream

    async def close(self) -> None:
        """Ends what is being written, and takes no more."""
        self._closed = True
        if self._worker:
            await self._worker
        self._thread.shutdown(wait=False)

    async def parts(self, stream: Stream) -> AsyncIterator[str]:
        try:
            while (part := await stream.parts.get()) is not None:
                if isinstance(part, Exception):
                    raise part
                if part:
                    yield part
        finally:
            stream.abandoned = True

    async def _work(self) -> None:
        """Until nothing is being written and nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._queue or any(self._rows):
                for stream, part in await loop.run_in_executor(self._thread, self._advance):
                    stream.parts.put_nowait(part)
        except Exception as error:  # a bug, or no memory: all are told
            for stream in [*filter(None, self._rows), *self._queue]:
                stream.parts.put_nowait(error)
            self._rows = [None] * len(self._rows)
            self._queue.clear()
        finally:
            self._worker = None

    def _advance(self) -> list[tuple[Stream, str | None]]:
        """One token for each text, in the thread: what it adds, None at the end."""
        said: list[tuple[Stream, str | None]] = []
        for group in range(len(self._caches)):
            said += self._step(group)
        for row, taken in enumerate(self._rows):
            if taken is None and (stream := self._next()):
                self._rows[row], self._texts[stream] = stream, stream.text(self._generator)
                said += self._choose(row, stream, self._fill(row, stream, stream.seen))
        return said

    def _step(self, group: int) -> list[tuple[Stream, str | None]]:
        said: list[tuple[Stream, str | None]] = []
        feed = np.zeros((GROUP, 1), np.int32)
        stepping: list[tuple[int, Stream]] = []
        full: list[tuple[int, Stream]] = []
        for row in range(GROUP * group, GROUP * (group + 1)):
            stream = self._rows[row]
            if stream and stream.abandoned:
                self._free(row)
            elif stream and self._generator.is_full(stream.cached):
                full.append((row, stream))
            elif stream:
                feed[row % GROUP] = stream.seen[-1]
                stepping.append((row, stream))
        if stepping:
            logits, self._caches[group] = self._generator.step(self._caches[group], feed)
            for row, stream in stepping:
                stream.cached += 1
                said += self._choose(row, stream, logits[row % GROUP, -1])
        # Only now: the step adds a token to every row, those too that are then filled.
        for row, stream in full:
            half = self._generator.context // 2
            said += self._choose(row, stream, self._fill(row, stream, stream.seen[-half:]))
        return said

    def _next(self) -> Stream | None:
        while self._queue:
            if not (stream := self._queue.popleft()).abandoned:
                return stream
        return None

    def _fill(self, row: int, stream: Stream, tokens: list[int]) -> Any:
        """Reads tokens into an empty row of the cache, as many as it holds: the logits after the last."""
        logits, own, stream.cached = self._generator.fill_cache(np.asarray(tokens, np.int32))
        group = row // GROUP
        self._caches[group] = self._insert(self._caches[group], own, row % GROUP)
        return logits

    def _choose(self, row: int, stream: Stream, logits: Any) -> list[tuple[Stream, str | None]]:
        """The next token of a text, and what the text ends with."""
        token = sample_token(logits, stream.sampling, stream.random)
        said: list[tuple[Stream, str | None]] = []
        ended = token == START
        if not ended:
            stream.seen.append(token)
            stream.fed.append(token)
            stream.written += 1
            part = next(self._texts[stream], None)
            ended = part is None
            said.append((stream, part or ""))
        stream.reason = "stop" if ended else "length"
        if ended or stream.written == stream.most or self._closed:
            if not ended:
                said += [(stream, rest) for rest in self._texts[stream]]
            self._free(row)
            said.append((stream, None))
        return said

    def _free(self, row: int) -> None:
        stream = self._rows[row]
        self._rows[row] = None
        if stream:
            self._texts.pop(stream, None)
