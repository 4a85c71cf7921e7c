"""A copy of the training state, made as quickly as memory allows, because training waits for it.

The arrays themselves cannot be written later: training computes the next state into their memory. Most of the time of a
plain copy goes into memory that was never written to, by a factor of 10 and more, so it is allocated and touched
beforehand.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Shaped

from pipeline.parallel import processes

CHUNK = 1 << 24  # bytes that a thread copies at a time
Copies: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]


class Snapshot:
    """Memory for one copy of the state."""

    def __init__(self) -> None:
        self._buffers: Copies = {}
        self._reserving: Future[None] | None = None

    def reserve(self, arrays: Mapping[str, Any]) -> None:
        """Allocates memory for such arrays, in the background."""
        self._buffers = {name: np.empty(array.shape, array.dtype) for name, array in arrays.items()}

        def touch(buffers: Copies = self._buffers) -> None:
            for buffer in buffers.values():
                np.copyto(buffer, np.zeros((), buffer.dtype))

        thread = ThreadPoolExecutor(1, "reserve")
        self._reserving = thread.submit(touch)
        thread.shutdown(wait=False)

    def take(self, arrays: Mapping[str, Any]) -> Copies:
        """A copy of `arrays`, valid until the next one is taken."""
        if self._reserving:
            self._reserving.result()
        copies: list[Future[None]] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # one core cannot use the memory's whole bandwidth
            for name, array in arrays.items():
                buffer = self._buffers.get(name)
                if buffer is None or (buffer.shape, buffer.dtype) != (array.shape, array.dtype):
                    buffer = self._buffers[name] = np.empty(array.shape, array.dtype)
                copies += [pool.submit(np.copyto, to, chunk) for to, chunk in _chunks(buffer, _on_host(array))]
        for copy in copies:
            copy.result()
        self._buffers = {name: self._buffers[name] for name in arrays}
        return self._buffers


def _chunks(
    buffer: Shaped[np.ndarray, "..."], array: Shaped[np.ndarray, "..."]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both in matching chunks of about CHUNK bytes."""
    if array.nbytes <= CHUNK or not array.ndim:
        yield buffer, array
        return
    rows = max(1, len(array) * CHUNK // array.nbytes)
    for start in range(0, len(array), rows):
        yield buffer[start : start + rows], array[start : start + rows]


def _on_host(array: Any) -> Shaped[np.ndarray, "..."]:
    """The array for NumPy. On a CPU it is a view of JAX's own memory, by DLPack: np.asarray's view would be cached by
    JAX, which then could not compute the next state into that memory.
    """
    if isinstance(array, jax.Array) and array.dtype.kind in "fiu" and array.devices() == {jax.devices("cpu")[0]}:
        return np.from_dlpack(array)  # type: ignore[arg-type]
    return processes.gather_to_host(array)
