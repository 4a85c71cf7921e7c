"""Memory that loading and compiling have left goes back to the system: on Linux with glibc, and elsewhere not."""

import ctypes
import gc
import sys

ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def use_one_arena() -> None:
    """Threads that start later share the main thread's memory, and so what others have freed."""
    if library := _glibc():
        library.mallopt(ARENA_MAX, 1)


def return_unused() -> None:
    gc.collect()
    if library := _glibc():
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
