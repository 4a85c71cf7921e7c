"""Requests that wait are answered together, in order, and no more than there is room for."""

import asyncio
import threading

import pytest

from pipeline.runtime.serving.batcher import Batcher
from pipeline.runtime.serving.failures import Busy, Leaving


def test_what_waits_is_one_batch():
    sizes: list[int] = []
    first = threading.Event()

    def run(given: list[int]) -> list[int]:
        sizes.append(len(given))
        if len(sizes) == 1:
            first.wait(10)
        return [2 * x for x in given]

    async def ask() -> list[list[int]]:
        batcher = Batcher(run, largest=4, room=100)
        asked = [asyncio.create_task(batcher.submit([i, 10 * i])) for i in range(4)]
        await asyncio.sleep(0.05)  # the first runs alone, the others wait
        first.set()
        return list(await asyncio.gather(*asked))

    assert asyncio.run(ask()) == [[2 * i, 20 * i] for i in range(4)]
    assert sizes[1:] == [4, 2] or sizes == [4, 4]


def test_room_and_end():
    hold = threading.Event()

    def run(given: list[int]) -> list[int]:
        hold.wait(10)
        return given

    async def ask() -> None:
        batcher = Batcher(run, largest=1, room=2)
        asked = [asyncio.create_task(batcher.submit([0]))]
        await asyncio.sleep(0.05)  # it runs: the next two wait
        asked += [asyncio.create_task(batcher.submit([i])) for i in (1, 2)]
        await asyncio.sleep(0.05)
        assert batcher.waiting == 2
        with pytest.raises(Busy):
            await batcher.submit([9])
        asked[1].cancel()  # its client has gone: it is skipped
        hold.set()
        closing = asyncio.create_task(batcher.close())
        assert await asked[0] == [0]
        assert await asked[2] == [2]
        await closing
        with pytest.raises(Leaving):
            await batcher.submit([1])

    asyncio.run(ask())


def test_a_failure_is_told_to_its_batch_alone():
    def run(given: list[int]) -> list[int]:
        if given == [0]:
            raise ValueError("zero")
        return given

    async def ask() -> None:
        batcher = Batcher(run, largest=1, room=10)
        with pytest.raises(ValueError, match="zero"):
            await batcher.submit([0])
        assert await batcher.submit([1]) == [1]
        await batcher.close()

    asyncio.run(ask())
