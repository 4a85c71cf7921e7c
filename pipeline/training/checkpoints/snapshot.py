"""A copy of arrays, taken while training waits, and so as quickly as memory allows.

The arrays themselves cannot be written later: training computes the next state into their memory. Memory that was never
written to is the slow part of a copy, by a factor of 10 and more: so it is reserved, and written to, beforehand.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from pipeline.parallel import processes

PART = 1 << 24  # bytes copied at a time
Copies = dict[str, Shaped[np.ndarray, "..."]]


class Snapshot:
    """Room for one copy."""

    def __init__(self) -> None:
        self._room: Copies = {}
        self._reserving: threading.Thread | None = None

    def reserve(self, arrays: Mapping[str, Any]) -> None:
        """Makes room for such arrays, while the caller goes on."""
        self._room = {name: np.empty(array.shape, array.dtype) for name, array in arrays.items()}

        def touch(room: Copies = self._room) -> None:
            for array in room.values():
                np.copyto(array, np.zeros((), array.dtype))

        self._reserving = threading.Thread(target=touch, daemon=True)
        self._reserving.start()

    def take(self, arrays: Mapping[str, Any]) -> Copies:
        """A copy of `arrays`, good until the next one is taken."""
        if self._reserving:
            self._reserving.join()
        copies: list[Future[None]] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # one core alone does not take all that memory gives
            for name, array in arrays.items():
                room = self._room.get(name)
                if room is None or (room.shape, room.dtype) != (array.shape, array.dtype):
                    room = self._room[name] = np.empty(array.shape, array.dtype)
                copies += [pool.submit(np.copyto, to, part) for to, part in _parts(room, _seen(array))]
        for copy in copies:
            copy.result()
        self._room = {name: self._room[name] for name in arrays}
        return self._room


def _parts(
    room: Shaped[np.ndarray, "..."], array: Shaped[np.ndarray, "..."]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both in parts of about PART bytes."""
    if array.nbytes <= PART or not array.ndim:
        yield room, array
        return
    rows = max(1, len(array) * PART // array.nbytes)
    for start in range(0, len(array), rows):
        yield room[start : start + rows], array[start : start + rows]


def _seen(array: Any) -> Shaped[np.ndarray, "..."]:
    """The array for NumPy. On a CPU its own memory, by a view that ends with its use: jax keeps the one that
    np.asarray gives, and memory that is looked at is not computed into.
    """
    if isinstance(array, jax.Array) and array.dtype.kind in "fiu" and array.devices() == {jax.devices("cpu")[0]}:
        return np.from_dlpack(array)  # type: ignore[arg-type]
    return processes.host(array)
