"""Saves a run now and then, in the background: training waits only while its arrays are copied."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError

from pipeline.parallel import processes
from pipeline.runtime import errors, strict_json
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints import files, lock
from pipeline.training.checkpoints.naming import RESULT, checkpoints
from pipeline.training.checkpoints.snapshot import Snapshot

KEPT = 2  # checkpoints of a run: if one is damaged, the one before it is used
LOCK_TIMEOUT = 20.0  # seconds: a run that is started again at once waits for the process before it to end


class SavesRuns(Protocol):
    """What the training loop needs of a Checkpointer."""

    def due(self) -> bool: ...
    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> bool: ...


class Checkpointer:
    """Writes checkpoints to the folder `run`, one every `every` seconds, each with `facts` in it. `check` is called
    before each, and raises where none may be written.
    """

    def __init__(
        self, run: Path, *, every: float, check: Callable[[], None] = lambda: None, facts: Mapping[str, Any] = {}
    ) -> None:
        self.run, self.every, self.check, self.facts = run, every, check, dict(facts)
        self.snapshot = Snapshot()
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[bool] | None = None

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Holds the run's lock. Raises UserError where another process does."""
        with lock.locked(self.run, timeout=LOCK_TIMEOUT):
            for unfinished in self.run.glob("*.tmp"):
                shutil.rmtree(unfinished, ignore_errors=True)
            try:
                yield
            finally:
                self.wait()

    def writing(self) -> bool:
        """Whether a checkpoint is being written right now."""
        return bool(self._writing and not self._writing.done())

    def due(self) -> bool:
        """Whether it is time for the next checkpoint, and the one before is written."""
        return time.monotonic() - self._last >= self.every and not self.writing()

    def save(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], *, wait: bool = False) -> bool:
        """Writes a checkpoint, in the background unless `wait`; false where that is known to have failed. Names must
        sort by age.

        Raises what `check` raises. Where the disk is full it only warns: the run can do without checkpoints.
        """
        self.wait()
        self.check()
        copies = self.snapshot.take(arrays)
        self._writing = self._thread.submit(self._write, name, copies, {**self.facts, **facts})
        written = self.wait() if wait else True
        self._last = time.monotonic()
        return written

    def wait(self) -> bool:
        """Returns when the last checkpoint is on the disk, or could not be written: whether it is there. Raises what
        writing it raised.
        """
        return self._writing.result() if self._writing else True

    def finish(self, weights: str) -> None:
        """Records the sha256 of the weights that the run produced: `checkpoints clean --recorded` looks for it."""
        strict_json.write(self.run / RESULT, {"weights": weights})

    def _write(self, name: str, arrays: dict[str, Shaped[np.ndarray, "..."]], facts: dict[str, Any]) -> bool:
        if not all(np.isfinite(a).all() for a in arrays.values() if np.issubdtype(a.dtype, np.floating)):
            return False  # the run has just diverged: the last good state is worth more
        try:
            files.write(self.run / name, arrays, facts)
            for old in checkpoints(self.run)[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        except (OSError, SafetensorError, UserError) as error:
            why = errors.refusal(error) or " ".join(str(error).split())
            print(f"warning: no checkpoint was written at {name} ({why}); training continues", file=sys.stderr)
            return False
        return True


class Participant:
    """A process other than the main one: it never starts a checkpoint, and contributes its shards to each."""

    def due(self) -> bool:
        return False

    def save(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], *, wait: bool = False) -> bool:
        for array in arrays.values():
            processes.gather_to_host(array)
        return True  # only the main process knows better
