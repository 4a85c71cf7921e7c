"""Requests that wait are answered together, in order, and no more than there is room for."""

import asyncio

import pytest

from pipeline.runtime.serving.failures import Busy, Leaving
from pipeline.runtime.serving.models.batcher import Batcher


def test_what_waits_is_one_batch():
    sizes: list[int] = []

    async def ask() -> list[list[int]]:
        first = asyncio.Event()

        async def run(given: list[int]) -> list[int]:
            sizes.append(len(given))
            if len(sizes) == 1:
                await first.wait()
            return [2 * x for x in given]

        batcher = Batcher(run, largest=4, room=100)
        asked = [asyncio.create_task(batcher.submit([i, 10 * i])) for i in range(4)]
        await asyncio.sleep(0.01)  # the first runs alone, the others wait
        first.set()
        return list(await asyncio.gather(*asked))

    assert asyncio.run(ask()) == [[2 * i, 20 * i] for i in range(4)]
    assert sizes == [2, 4, 2]


def test_a_second_batch_is_sent_when_it_is_as_large_as_the_first():
    async def ask() -> None:
        sizes: list[int] = []
        ends: list[asyncio.Event] = []

        async def run(given: list[int]) -> list[int]:
            sizes.append(len(given))
            ends.append(end := asyncio.Event())
            await end.wait()
            return given

        async def submit(count: int) -> None:
            asked.extend(asyncio.create_task(batcher.submit([i])) for i in range(count))
            await asyncio.sleep(0.01)

        batcher, asked = Batcher(run, largest=100, room=100, at_once=2), []
        asked.append(asyncio.create_task(batcher.submit([1, 2, 3])))
        await submit(2)
        assert sizes == [3]
        await submit(1)
        assert sizes == [3, 3]
        await submit(9)  # not a third one
        assert sizes == [3, 3]
        ends[0].set()
        await asyncio.sleep(0.01)
        assert sizes == [3, 3, 9]
        await submit(2)
        ends[2].set()  # it leaves one with three that runs: the two that wait are fewer
        await asyncio.sleep(0.01)
        assert sizes == [3, 3, 9]
        ends[1].set()
        await asyncio.sleep(0.01)
        assert sizes == [3, 3, 9, 2]  # nothing runs: nothing waits
        ends[3].set()
        await asyncio.gather(*asked)

    asyncio.run(ask())


def test_room_and_end():
    async def ask() -> None:
        hold = asyncio.Event()

        async def run(given: list[int]) -> list[int]:
            await hold.wait()
            return given

        batcher = Batcher(run, largest=1, room=2)
        asked = [asyncio.create_task(batcher.submit([0]))]
        await asyncio.sleep(0.01)  # it runs: the next two wait
        asked += [asyncio.create_task(batcher.submit([i])) for i in (1, 2)]
        await asyncio.sleep(0.01)
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
    async def run(given: list[int]) -> list[int]:
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
