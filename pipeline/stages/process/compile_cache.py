"""What XLA has compiled is kept from one run to the next: on small data, compiling takes longer than training.

No result depends on it: the same program for the same processor is the same bytes. JAX does not write an entry at one
stroke, so a process that is killed would leave half of one, and another could read it. Each process therefore works in
a folder of its own, which begins with links to all that is kept, and hands on what is new when it ends as it should.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import psutil

LARGEST = 1 << 30  # bytes that are kept
DIRECTORY, ENABLED = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"  # JAX's own variables


@contextmanager
def kept() -> Iterator[None]:
    """Around the work of a stage. Without effect where the environment has a setting of JAX's for this, or the user's
    cache folder cannot be written.
    """
    if DIRECTORY in os.environ or ENABLED in os.environ:
        yield
        return
    folder = folder_of_processor()
    own = folder.with_name(f"{folder.name}-{os.getpid()}")
    try:
        _clear_up(folder)
        _link(folder, own)
    except OSError:
        yield
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(own))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # else the folder is part of each entry's name
    try:
        yield
        with suppress(OSError):
            _link(own, folder)
            _bound(folder)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def folder_of_processor() -> Path:
    """Entries fit one kind of processor, which their names leave out, and one compiler."""
    top = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipeline" / "compiled"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    return top / hashlib.sha256(f"{flags} {version('jaxlib')}".encode()).hexdigest()[:12]


def _clear_up(folder: Path) -> None:
    """Removes the folders of processes that were killed."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob("*-*"):
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in os.scandir(source):
        with suppress(FileExistsError, FileNotFoundError):
            os.link(entry.path, target / entry.name)


def _bound(folder: Path) -> None:
    """Removes what was not used for longest."""
    with suppress(FileNotFoundError):  # another process does the same
        entries = sorted(os.scandir(folder), key=lambda entry: -entry.stat().st_atime)
        total = 0
        for entry in entries:
            total += entry.stat().st_size
            if total > LARGEST:
                os.unlink(entry.path)
