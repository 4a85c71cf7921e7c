"""What XLA has compiled, kept from one run of the tests to the next. No result depends on it: the tests that compare
bytes compile one side anew.

JAX does not write an entry at one stroke, so a second process could read half of one. Each worker therefore writes into
a folder of its own. It begins with links to all entries that are kept, takes what the others have written some time
ago as it goes, and hands on its new ones at the end, when no process of its is left that may be writing.
"""

import hashlib
import os
import shutil
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
from imports import TOP

TREE = TOP / ".pytest_cache" / "compiled"
LARGEST = 2 << 30  # bytes that are kept, about: with more, all is thrown away
WRITTEN = 20.0  # seconds: no entry takes longer to write
VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def begin() -> None:
    """From now on this process, and those that it starts, find what was compiled. Call it before jax loads."""
    kept = _kept()
    if sum(entry.stat().st_size for entry in os.scandir(kept)) > LARGEST:
        shutil.rmtree(kept, ignore_errors=True)
    for left in TREE.glob("of-*"):  # by a run that was stopped
        if not psutil.pid_exists(int(left.name.removeprefix("of-"))):
            shutil.rmtree(left, ignore_errors=True)
    own = TREE / f"of-{os.getpid()}"
    _link(kept, own)
    os.environ |= {
        VARIABLE: str(own),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",  # else the folder is part of each entry's name
    }


def share() -> None:
    """Finds also what other workers have compiled by now."""
    for other in TREE.glob("of-*"):
        _link(other, Path(os.environ[VARIABLE]), older=WRITTEN)


def end(*, in_order: bool) -> None:
    """Hands on what is new, unless somebody stopped the tests: a process may be writing then."""
    own = Path(os.environ[VARIABLE])
    if in_order:
        _link(own, _kept())
    shutil.rmtree(own, ignore_errors=True)


def apart(folder: Path) -> dict[str, str]:
    """The environment of a process that is to be killed: it finds what was compiled, but writes into `folder`, which is
    made for it, so that half an entry is left in no other.
    """
    if not (found := os.environ.get(VARIABLE)):
        return {}
    shutil.rmtree(folder, ignore_errors=True)
    _link(Path(found), folder)
    return {VARIABLE: str(folder)}


def _kept() -> Path:
    """The folder for this processor and compiler: entries fit one kind of each, and their names leave out the first."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    folder = TREE / hashlib.sha256(f"{flags} {version('jaxlib')}".encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _link(source: Path, target: Path, *, older: float = 0.0) -> None:
    """All entries that are there for so many seconds."""
    target.mkdir(exist_ok=True)
    latest = time.time() - older
    with suppress(FileNotFoundError):  # the folder of a worker that has ended
        for entry in os.scandir(source):
            with suppress(FileExistsError, FileNotFoundError):
                if entry.stat().st_mtime <= latest:
                    os.link(entry.path, target / entry.name)
