"""Training by two processes, in a clone with a small slice of the data."""

import sys
from pathlib import Path

import clone
import psutil
from imports import TOP
from repro import stage_of

from pipeline.runtime.hashes import sha256

LAUNCH = f"{sys.executable} {TOP / 'tests/harness/launch.py'} 2"


def set_training(folder: Path, *, epochs: int, mesh: str = "null", rate: str = "1.0e-3") -> None:
    """The cnn's settings."""
    clone.run("git checkout -q params.yaml", folder)
    path = folder / "params.yaml"
    above, cnn, rest = path.read_text().partition("  cnn:\n")
    rest = rest.replace("      epochs: 5\n", f"      epochs: {epochs}\n      mesh: {mesh}\n", 1)
    path.write_text(above + cnn + rest.replace("learning_rate: 1.0e-3", f"learning_rate: {rate}", 1))


def train(folder: Path, *, code: int = 0, **extra: str) -> str:
    return clone.run("dvc repro -s train", folder, code=code, **extra)


def forget(folder: Path) -> None:
    """As if nothing had been trained."""
    clone.run("rm -rf .checkpoints logs trained dvc.lock .dvc/cache/runs", folder)


def weights(folder: Path) -> str:
    return sha256(folder / "trained/weights.safetensors")


def ranks(folder: Path) -> dict[int, psutil.Process]:
    """The processes of a training run in the folder, by rank."""
    running = {}
    for process in psutil.process_iter():
        try:
            if stage_of(process) == "train" and Path(process.cwd()) == folder:
                running[int(process.environ()["TRAIN_RANK"])] = process
        except (psutil.Error, OSError, KeyError):
            continue
    return running


def checkpoints(folder: Path) -> list[str]:
    """The names of those that are whole, oldest first: each names its epoch and step."""
    return sorted(path.name for path in folder.glob(".checkpoints/*/[0-9]*[0-9]"))
