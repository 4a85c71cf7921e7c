"""Memory that a training step frees is kept for the next one.

A step's temporary memory is of hundreds of megabytes and more. By default glibc gives such a block back to the system
at once, which hands out pages of zeros for the next step, one by one: up to a fifth of a step's time.
"""

import ctypes
import gc
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # as malloc.h numbers them


def keep_freed_memory() -> None:
    """For the rest of this process, on Linux with glibc; elsewhere it does nothing."""
    if library := _glibc():
        library.mallopt(ARENA_MAX, 1)  # other arenas can only hold blocks that are small
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, -1)  # never


def give_back() -> None:
    """What is no longer needed by now: too scattered for a step's memory, it would else be held beside that."""
    gc.collect()  # what JAX's threads have let go of waits for a garbage collection
    if library := _glibc():
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
