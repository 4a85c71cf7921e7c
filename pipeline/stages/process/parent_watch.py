"""A stage ends when the DVC that started it does: a killed DVC leaves its stage behind, which would train on, unseen,
next to the stage of the next run.
"""

import os
import signal
import threading
import time

import psutil

from pipeline.runtime.errors import Stop

BETWEEN = {"sh", "bash", "dash", "zsh", "ksh", "fish", "mpirun", "mpiexec", "orterun", "prterun"}
EVERY = 0.5  # seconds between checks
PATIENCE = 300  # seconds for a stage to take note of SIGTERM: a handler runs once code outside Python returns


def watch(started_by: int) -> None:
    """Sends this process SIGTERM, as a user would, once one of the processes that started it is gone. Only under DVC: a
    stage started by hand may be meant to outlive its terminal.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(started_by, ancestors()), daemon=True).start()


def ancestors() -> list[psutil.Process]:
    """The parent processes up to DVC, which starts a stage through a shell and perhaps a launcher."""
    parents: list[psutil.Process] = []
    for parent in psutil.Process().parents():
        parents.append(parent)
        if parent.name() not in BETWEEN:
            break
    return parents


def _watch(started_by: int, parents: list[psutil.Process]) -> None:
    while os.getppid() == started_by and all(_is_alive(parent) for parent in parents):
        time.sleep(EVERY)
    if Stop.since is None:  # else what ended the parent was sent to the stage too, which is saving now
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
    if Stop.since is None:
        os._exit(128 + signal.SIGTERM)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
