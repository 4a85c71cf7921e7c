"""Memory that a training step frees is kept for the next step.

A step's temporary memory is hundreds of megabytes and more. By default glibc returns such a block to the system at
once, which then hands out zeroed pages to the next step, one by one: up to a fifth of a step's time.

mallopt(3) has no Python interface, hence ctypes. glibc's environment variables (MALLOC_TRIM_THRESHOLD_, ...) would do
the same, but only if they were set before the process starts.
"""

import ctypes
import gc
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # M_TRIM_THRESHOLD and so on in malloc.h


def keep_freed_memory() -> None:
    """For the rest of this process, on Linux with glibc; elsewhere it does nothing."""
    if library := _glibc():
        library.mallopt(ARENA_MAX, 1)  # arenas of other threads can only hold small blocks
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, -1)  # never


def return_unused() -> None:
    """Returns freed memory to the system, once: the fragments that loading has left are no use for a step."""
    gc.collect()  # memory that JAX's threads have released waits for a garbage collection
    if library := _glibc():
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
