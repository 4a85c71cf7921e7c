"""A stage dies with the DVC that started it: killed, DVC leaves its stage behind, which would go on to train, unseen,
beside the next one.
"""

import os
import signal
import threading
import time

import psutil

BETWEEN = {"sh", "bash", "dash", "zsh", "ksh", "fish", "mpirun", "mpiexec", "orterun", "prterun"}
EVERY = 0.5  # seconds between two looks
PATIENCE = 60  # seconds for a stage to save and end


def watch(started_by: int) -> None:
    """Sends this process SIGTERM, as a user would, once a process that it was started by is gone. Only under DVC:
    whoever starts a stage by hand may want it to outlive the terminal.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(started_by, ancestors()), daemon=True).start()


def ancestors() -> list[psutil.Process]:
    """Parents up to DVC: it starts a stage by way of a shell, and that may start a launcher."""
    found: list[psutil.Process] = []
    for parent in psutil.Process().parents():
        found.append(parent)
        if parent.name() not in BETWEEN:
            break
    return found


def _watch(started_by: int, parents: list[psutil.Process]) -> None:
    while os.getppid() == started_by and all(_lives(parent) for parent in parents):
        time.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)  # the signal waits for the end of what runs outside Python
    os._exit(128 + signal.SIGTERM)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
