"""Curves while a model trains: a table for each figure, which `dvc plots show` and VS Code (DVC extension) read, and
TensorBoard's files, if it is installed. Git and DVC track none of them, and no output of the stage comes from them.

They end with the run: then the stage's own history has the curves.
"""

import importlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.runtime import strict_json

CURVES = ("loss", "metric")


class LiveCurves:
    """A table of steps and values in `folder` for each curve. `metric` is what the task's metric is called; TensorBoard
    finds its files in `events`, in a folder for each run.
    """

    def __init__(self, folder: Path, events: Path, *, metric: str) -> None:
        self._folder, self._events, self._metric = folder, events, metric
        self._run_file = events / "run.json"  # which run the tables are of
        self._board: Any = None

    def begin(self, run: str, step: int, earlier: Sequence[Mapping[str, Any]]) -> None:
        """Continues the tables of a run that resumes at `step`; `earlier` has the figures of its epochs so far, should
        its tables be lost. Another run's are removed.
        """
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._events.mkdir(parents=True, exist_ok=True)
            if self._known() == {"run": run}:
                for path in self._tables():
                    head, *rows = path.read_text(encoding="utf-8").splitlines()
                    kept = [row for row in rows if int(row.partition("\t")[0] or 0) <= step]
                    path.write_text("".join(f"{line}\n" for line in (head, *kept)), encoding="utf-8")
            else:
                self.end()
                self._board = None
                for figures in earlier:
                    self._add(figures)
            strict_json.write(self._run_file, {"run": run})
        self._board = _event_writer(self._events / run)

    def add(self, figures: Mapping[str, Any]) -> None:
        """Adds those of train_loss, train_metric, validation_loss and validation_metric that `figures` has, at its
        `step`.
        """
        with suppress(OSError):  # a full disk does not end a training run for the sake of its picture
            self._add(figures)

    def end(self) -> None:
        """Removes the tables: the run is done. TensorBoard's files stay."""
        with suppress(OSError):
            for path in (*self._tables(), self._run_file):
                path.unlink(missing_ok=True)

    def _add(self, figures: Mapping[str, Any]) -> None:
        for split in ("train", "validation"):
            for curve in CURVES:
                value = figures.get(f"{split}_{curve}")
                if value is None:
                    continue
                name = f"{split}_{self._metric if curve == 'metric' else curve}"
                path = self._folder / f"{name}.tsv"
                head = "" if path.exists() else f"step\t{name}\n"
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"{head}{figures['step']}\t{value:.6g}\n")
                if self._board:
                    self._board(f"{split}/{name.removeprefix(f'{split}_')}", value, figures["step"])

    def _tables(self) -> list[Path]:
        """Those of any run: the one that git has is without an underscore."""
        return sorted(self._folder.glob("*_*.tsv"))

    def _known(self) -> Any:
        try:
            return strict_json.read(self._run_file)
        except Exception:  # missing or damaged: the tables are of no known run
            return None


def _event_writer(folder: Path) -> Any:
    """What adds a scalar to TensorBoard's files: a function of name, value and step. None where the package tensorboard
    is not installed.
    """
    try:
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        file = writer.EventFileWriter(str(folder), flush_secs=1)
    except Exception:  # not there, or of a version that works otherwise
        return None

    def add(name: str, value: float, step: int) -> None:
        summary = summaries.Summary(value=[summaries.Summary.Value(tag=name, simple_value=value)])
        file.add_event(events.Event(wall_time=time.time(), step=step, summary=summary))
        file.flush()

    return add
