"""Requests that wait for the same model are answered together.

A batch is what waits when the model is free: nothing waits for more to come. A window of 2 ms would make a lone client
nine times slower, and 32 clients hardly faster. Where the model is busy, a second batch is sent as soon as it is as
large as the first, so that the model need not wait either, for the answers to be sent and asked for anew.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..failures import Busy, Leaving

Given = TypeVar("Given")
Result = TypeVar("Result")


class _Waiting(NamedTuple, Generic[Given, Result]):
    inputs: Sequence[Given]
    results: "asyncio.Future[list[Result]]"


class Batcher(Generic[Given, Result]):
    """Runs `run`, from inputs to as many results: up to `largest` inputs at a time, and up to `at_once` times before it
    has returned; and up to `room` inputs wait. Its methods are for the thread of one event loop.
    """

    def __init__(
        self,
        run: Callable[[list[Given]], Awaitable[list[Result]]],
        *,
        largest: int,
        room: int,
        at_once: int = 1,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._run, self._largest, self._room, self._at_once, self._on_batch = run, largest, room, at_once, on_batch
        self._queue: deque[_Waiting[Given, Result]] = deque()
        self._batches: dict[asyncio.Task[None], int] = {}  # that run, and their inputs
        self._closed = False
        self.waiting = 0  # inputs in the queue

    async def submit(self, inputs: Sequence[Given]) -> list[Result]:
        """The results for these inputs. Raises Busy where the queue has no room for them, and Leaving after `close`.

        More inputs than the whole queue can hold are taken when it is empty.
        """
        if self._closed:
            raise Leaving
        if self.waiting and self.waiting + len(inputs) > self._room:
            raise Busy
        if not inputs:
            return []
        waiting = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self.waiting += len(inputs)
        self._start()
        return await waiting.results

    async def close(self) -> None:
        """Answers what waits, and takes no more."""
        self._closed = True
        while self._batches:
            await asyncio.wait(self._batches)

    def _start(self) -> None:
        """The next batch, if it is time."""
        if len(self._batches) < self._at_once and self.waiting >= sum(self._batches.values()):
            batch = self._take()
            if batch:
                size = sum(len(waiting.inputs) for waiting in batch)
                task = asyncio.create_task(self._answer(batch, size))
                self._batches[task] = size
                task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._batches[task]
        self._start()

    async def _answer(self, batch: list[_Waiting[Given, Result]], size: int) -> None:
        try:
            self._on_batch(size)
            results = iter(await self._run([one for waiting in batch for one in waiting.inputs]))
            for waiting in batch:
                own = [next(results) for _ in waiting.inputs]
                if not waiting.results.done():  # its client may have gone
                    waiting.results.set_result(own)
        except Exception as error:  # theirs alone: the next batch may do
            for waiting in batch:
                if not waiting.results.done():
                    waiting.results.set_exception(error)

    def _take(self) -> list[_Waiting[Given, Result]]:
        """Requests from the queue's front with no more than `largest` inputs, or one with more."""
        batch: list[_Waiting[Given, Result]] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].inputs) <= self._largest):
            waiting = self._queue.popleft()
            self.waiting -= len(waiting.inputs)
            if not waiting.results.done():
                batch.append(waiting)
                size += len(waiting.inputs)
        return batch
