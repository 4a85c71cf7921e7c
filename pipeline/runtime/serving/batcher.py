"""Requests that wait for the same model are answered together.

A batch is what waits when the model is free: nothing waits for more to come. A window of 2 ms would make a lone client
nine times slower, and 32 clients hardly faster.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from .failures import Busy, Leaving

Given = TypeVar("Given")
Result = TypeVar("Result")


class _Waiting(NamedTuple, Generic[Given, Result]):
    inputs: Sequence[Given]
    results: "asyncio.Future[list[Result]]"


class Batcher(Generic[Given, Result]):
    """Runs `run`, from inputs to as many results, in a thread of its own: up to `largest` inputs at a time, and with up
    to `room` inputs waiting. Its methods are for the thread of one event loop.
    """

    def __init__(
        self,
        run: Callable[[list[Given]], list[Result]],
        *,
        largest: int,
        room: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._run, self._largest, self._room, self._on_batch = run, largest, room, on_batch
        self._queue: deque[_Waiting[Given, Result]] = deque()
        self._thread = ThreadPoolExecutor(1)
        self._worker: asyncio.Task[None] | None = None
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
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await waiting.results

    def before(self, work: Callable[[], None]) -> None:
        """Runs `work` in the thread, before the inputs that come from now on. From any thread."""
        self._thread.submit(work)

    async def close(self) -> None:
        """Answers what waits, and takes no more."""
        self._closed = True
        if self._worker:
            await self._worker
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        """Until nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := await self._next():
                inputs = [one for waiting in batch for one in waiting.inputs]
                try:
                    self._on_batch(len(inputs))
                    results = iter(await loop.run_in_executor(self._thread, self._run, inputs))
                    for waiting in batch:
                        own = [next(results) for _ in waiting.inputs]
                        if not waiting.results.done():  # its client may have gone
                            waiting.results.set_result(own)
                except Exception as error:  # theirs alone: the next batch may do
                    for waiting in batch:
                        if not waiting.results.done():
                            waiting.results.set_exception(error)
        finally:
            self._worker = None

    async def _next(self) -> list[_Waiting[Given, Result]]:
        """The next batch, after the answers that are ready have gone out and what has arrived has been read: the loop
        runs twice. So clients that ask again at once are in one batch, and no time is waited for them.
        """
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self._take()

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
