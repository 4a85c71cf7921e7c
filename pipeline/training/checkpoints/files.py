"""A checkpoint on disk: a folder that is complete or does not exist, with the sha256 of each file in it.

It is written under another name, flushed to the disk and then renamed, so a crash at any moment leaves the older ones.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.training.checkpoints.naming import ARRAYS, FACTS, SEAL, checkpoints

UNREADABLE = (OSError, ValueError, SafetensorError, UserError)  # what `read` raises for a damaged checkpoint


class Checkpoint(NamedTuple):
    arrays: dict[str, Shaped[np.ndarray, "..."]]
    facts: dict[str, Any]  # JSON


def write(folder: Path, arrays: dict[str, Shaped[np.ndarray, "..."]], facts: Mapping[str, Any]) -> None:
    """Writes a checkpoint to `folder`. Raises OSError, SafetensorError or UserError and leaves nothing behind."""
    unfinished = folder.with_name(f"{folder.name}.tmp")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file(arrays, unfinished / ARRAYS)
        strict_json.write(unfinished / FACTS, facts)
        strict_json.write(unfinished / SEAL, {file: sha256(unfinished / file) for file in (ARRAYS, FACTS)})
        for path in (*unfinished.iterdir(), unfinished):
            _flush(path)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        _flush(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def read(folder: Path) -> Checkpoint:
    """Raises one of UNREADABLE where a file is missing or a single bit has changed."""
    seal = strict_json.read(folder / SEAL)
    if not isinstance(seal, dict) or seal.keys() != {ARRAYS, FACTS}:
        raise ValueError(f"{folder / SEAL} does not name the files")
    for name, expected in seal.items():
        if sha256(folder / name) != expected:
            raise ValueError(f"{folder / name} has another sha256 than was written")
    return Checkpoint(load_file(folder / ARRAYS), strict_json.read(folder / FACTS))


def newest(run: Path) -> Checkpoint | None:
    """The run's newest complete checkpoint. Damaged ones are renamed, with a warning each."""
    for folder in reversed(checkpoints(run)):
        try:
            return read(folder)
        except UNREADABLE as error:
            aside = folder.with_name(f"damaged-{folder.name}-{time.time_ns()}")
            folder.rename(aside)
            why = " ".join(str(error).split())
            print(f"warning: a checkpoint is damaged ({why}); set aside as {aside}", file=sys.stderr)
    return None


def _flush(path: Path) -> None:
    """Waits until the file or folder is on the disk, not only in the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
