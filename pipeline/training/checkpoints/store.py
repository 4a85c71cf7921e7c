"""Checkpoints: where training goes on from after an interruption, at the same bits.

A folder for each run, named by the fingerprint of all that decides its result, so that no run goes on from another's
state. In it a folder for each checkpoint, written aside, flushed to the disk, sealed with the sha256 of each file and
then renamed: what has a name is whole. The newest two are kept; one that is damaged nevertheless is set aside, and the
one before it used. They are no outputs of DVC's, which would clear them away before each run.

By hand: python -m pipeline checkpoints list|clean
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.config import paths
from pipeline.runtime import errors, strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.training.checkpoints.snapshot import Snapshot

SECONDS = "CHECKPOINT_SECONDS"  # the environment's word for how often: it changes no result
FROM = "CHECKPOINT_FROM"  # and for the run, stopped on other devices, that a new one is to go on from
KEPT = 2
WAIT = 20.0  # seconds for another process to let go
ARRAYS, FACTS, SEAL, LOCK = "state.safetensors", "facts.json", "seal.json", "lock"
RESULT = "result.json"


class Checkpoint(NamedTuple):
    arrays: dict[str, Shaped[np.ndarray, "..."]]
    facts: dict[str, Any]


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A name for a run: equal facts, in whatever order, have equal names."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def moved(record: Mapping[str, Any]) -> Path | None:
    """The folder of the run that a new one goes on from, if the environment names one. Raises UserError unless it was
    made from the same as `record`, but for the mesh and the kind of device.
    """
    if not (run := os.environ.get(FROM)):
        return None
    folder = top() / run
    written = _written(folder) if folder.parent == top() else []
    if not written:
        raise UserError(
            f"{FROM}: no run {run!r} has a checkpoint: `python -m pipeline checkpoints list` shows which have"
        )
    facts = strict_json.read(written[-1] / FACTS)
    try:
        theirs, ours = _placeless(facts["made_from"]), _placeless(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{FROM}: {written[-1] / FACTS} does not say of which run it is") from error
    if other := ", ".join(sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))):
        raise UserError(f"{FROM}: {run} is another run, not this one on other devices: its {other} are not the same")
    return folder


def _placeless(record: Mapping[str, Any]) -> dict[str, Any]:
    """A provenance less what says where it runs."""
    params = record["params"]
    training = {key: value for key, value in params["training"].items() if key != "mesh"}
    return {**record, "device": None, "params": {**params, "training": training}}


def name(epoch: int, step: int) -> str:
    """Sorted by name, a run's checkpoints are sorted by age."""
    return f"{epoch:06}-{step:010}"


def top() -> Path:
    """The folder of all checkpoints. DVC runs an experiment in a folder that it removes afterwards, and says where the
    repository is; started by hand, a stage runs at its top.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / paths.CHECKPOINTS


def interval() -> float:
    """Seconds between checkpoints. Raises UserError for what is no number of seconds."""
    text = os.environ.get(SECONDS, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{SECONDS}: must be a number of seconds, 0 or more, not {text!r}")
    return seconds


class Checkpointer:
    """Those of one run, `every` so many seconds. `check` is called before each is written, and raises where it must not
    be; `about` is written into each.
    """

    def __init__(
        self, folder: Path, *, every: float, check: Callable[[], None] = lambda: None, about: Mapping[str, Any] = {}
    ) -> None:
        self.folder, self.every, self.check, self.about = folder, every, check, dict(about)
        self._last = time.monotonic()
        self._writer: threading.Thread | None = None
        self.snapshot = Snapshot()

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Holds the run's lock. Raises UserError where another process keeps it."""
        with _locked(self.folder, WAIT):
            for unfinished in self.folder.glob("*.tmp"):
                shutil.rmtree(unfinished, ignore_errors=True)
            try:
                yield
            finally:
                self.wait()

    def due(self) -> bool:
        """Whether it is time for the next one, and the one before is written."""
        return time.monotonic() - self._last >= self.every and not (self._writer and self._writer.is_alive())

    def save(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], *, wait: bool = False) -> None:
        """Writes a checkpoint, while training goes on unless `wait`; names sort as checkpoints follow one another.

        Raises what `check` raises. A disk that is full only warns: the run can do without, and goes on.
        """
        self.wait()
        self.check()
        copies = self.snapshot.take(arrays)
        self._writer = threading.Thread(target=self._write, args=(name, copies, {**self.about, **facts}))
        self._writer.start()
        if wait:
            self.wait()
        self._last = time.monotonic()

    def finish(self, weights: str) -> None:
        """Notes the sha256 of the weights that the run ended with: `clear_recorded` knows it by that."""
        strict_json.write(self.folder / RESULT, {"weights": weights})

    def wait(self) -> None:
        """Until the last one is on the disk."""
        if self._writer:
            self._writer.join()

    def newest(self) -> Checkpoint | None:
        """The newest that is whole; damaged ones are set aside, with a warning each."""
        for folder in reversed(_written(self.folder)):
            try:
                return _read(folder)
            except (OSError, ValueError, SafetensorError, UserError) as error:
                aside = folder.with_name(f"damaged-{folder.name}-{time.time_ns()}")
                folder.rename(aside)
                why = " ".join(str(error).split())
                print(f"warning: a checkpoint is damaged ({why}); set aside as {aside}", file=sys.stderr)
        return None

    def named(self, name: str) -> Checkpoint:
        """The one that another process has found to be whole. Raises UserError where it is not there."""
        try:
            return _read(self.folder / name)
        except (OSError, ValueError, SafetensorError, UserError) as error:
            raise UserError(
                f"{self.folder / name}: process 0 reads it, this process does not: they need a file system in common"
            ) from error

    def _write(self, name: str, arrays: dict[str, Shaped[np.ndarray, "..."]], facts: dict[str, Any]) -> None:
        if not all(np.isfinite(a).all() for a in arrays.values() if np.issubdtype(a.dtype, np.floating)):
            return  # the run has just diverged: the last good state is worth more
        unfinished, done = self.folder / f"{name}.tmp", self.folder / name
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            save_file(arrays, unfinished / ARRAYS)
            strict_json.write(unfinished / FACTS, facts)
            strict_json.write(unfinished / SEAL, {file: sha256(unfinished / file) for file in (ARRAYS, FACTS)})
            for path in (*unfinished.iterdir(), unfinished):
                _flush(path)
            shutil.rmtree(done, ignore_errors=True)
            unfinished.rename(done)
            _flush(self.folder)
            for old in _written(self.folder)[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        except (OSError, SafetensorError, UserError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            why = errors.refusal(error) or " ".join(str(error).split())
            print(f"warning: no checkpoint was written at {name} ({why}); training goes on", file=sys.stderr)


def clear_recorded() -> None:
    """Removes the checkpoints of each finished run whose result is the model in `trained`: DVC has recorded it by the
    time that evaluate runs.
    """
    weights = paths.TRAINED / "weights.safetensors"
    known = sha256(weights) if weights.exists() else ""
    for result in top().glob(f"*/{RESULT}"):
        if strict_json.read(result).get("weights") == known:
            clear(result.parent)


def clear(folder: Path) -> None:
    """Removes a run's checkpoints; does nothing while a process keeps them, or where there are none."""
    try:
        with _locked(folder, 0, make=False):
            shutil.rmtree(folder)
    except (UserError, FileNotFoundError):
        return


def _written(folder: Path) -> list[Path]:
    """A run's checkpoints, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir() and path.suffix != ".tmp")


def _read(folder: Path) -> Checkpoint:
    """Raises ValueError, SafetensorError, UserError or OSError where a file is missing or has changed by one bit."""
    seal = strict_json.read(folder / SEAL)
    if not isinstance(seal, dict) or seal.keys() != {ARRAYS, FACTS}:
        raise ValueError(f"{folder / SEAL} does not name the files")
    for name, expected in seal.items():
        if sha256(folder / name) != expected:
            raise ValueError(f"{folder / name} has another sha256 than was written")
    return Checkpoint(load_file(folder / ARRAYS), strict_json.read(folder / FACTS))


@contextmanager
def _locked(folder: Path, patience: float, *, make: bool = True) -> Iterator[None]:
    """The lock of a run. Its file dies with the folder: so whoever gets it looks whether it is still the one there."""
    path, deadline = folder / LOCK, time.monotonic() + patience
    while True:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT), "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
                    raise UserError(
                        f"{folder}: process {holder} is at this very training run: "
                        f"wait for it, or stop it with `kill {holder}`"
                    ) from None
                time.sleep(0.2)
                continue
            try:
                same = path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                same = False
            if same:
                file.seek(0)
                file.truncate()
                file.write(f"{os.getpid()}\n")
                file.flush()
                yield
                return


def _flush(path: Path) -> None:
    """Waits until the file or folder is on the disk, not only in the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holder(folder: Path) -> str | None:
    """The process that keeps the run's lock, if one does."""
    try:
        with open(folder / LOCK, "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except FileNotFoundError:
        pass
    return None
