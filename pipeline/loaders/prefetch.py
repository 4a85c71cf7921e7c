"""What a thread makes in advance."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2  # items that are made in advance

T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The items, up to AHEAD of them made in advance by a thread. Raises what making an item raises."""
    end = object()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        ahead = deque(thread.submit(next, items, end) for _ in range(AHEAD))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in ahead:
                future.cancel()
