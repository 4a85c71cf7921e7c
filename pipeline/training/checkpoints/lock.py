"""One writer a run: a lock that names the process that holds it, and that the system releases when the process dies.

flock(2) directly, not the filelock package: its lock file names no process, and a lock whose file was deleted along
with the run's folder would go unnoticed.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints.naming import LOCK

POLL_SECONDS = 0.2


@contextmanager
def locked(run: Path, *, timeout: float, create: bool = True) -> Iterator[None]:
    """Holds the lock of the run's folder, which is made unless `create` is false. Raises UserError where another
    process still holds it after `timeout` seconds.
    """
    path, deadline = run / LOCK, time.monotonic() + timeout
    while True:
        if create:
            run.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT), "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    pid = path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
                    raise UserError(
                        f"{run}: process {pid} is already running this training: wait for it, or stop it with "
                        f"`kill {pid}`"
                    ) from None
                time.sleep(POLL_SECONDS)
                continue
            # Whoever held the lock may have deleted the folder: a lock on a deleted file excludes nobody.
            try:
                current = path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                current = False
            if current:
                file.seek(0)
                file.truncate()
                file.write(f"{os.getpid()}\n")
                file.flush()
                yield
                return


def holder(run: Path) -> str | None:
    """The process that holds the run's lock, if any does."""
    try:
        with open(run / LOCK, "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except FileNotFoundError:
        pass
    return None


def remove(run: Path) -> None:
    """Deletes the run's checkpoints, unless a process holds its lock or there are none."""
    try:
        with locked(run, timeout=0, create=False):
            shutil.rmtree(run)
    except (UserError, FileNotFoundError):
        return
