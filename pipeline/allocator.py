"""Memory that a training step frees is kept for the next one.

A step's temporary memory is of hundreds of megabytes and more. By default glibc gives such a block back to the system
at once, which hands out pages of zeros for the next step, one by one: up to a fifth of a step's time.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # as malloc.h numbers them


def keep_freed_memory() -> None:
    """For the rest of this process, on Linux with glibc; elsewhere it does nothing."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(ARENA_MAX, 1)  # other arenas can only hold blocks that are small
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, -1)  # never
