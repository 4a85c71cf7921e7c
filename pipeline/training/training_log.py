"""logs/train.jsonl: what a training run does, a line of JSON at a time. DVC does not see it: it has times in it. The
same figures become the live curves.
"""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.training.live_curves import LiveCurves

SECONDS = 10.0  # between two lines of progress, at most


class TrainingLog:
    """Appends to `path`; None writes nothing. Each line has the fields `context`, such as the run's name. `curves` get
    the figures as well.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        every: float = SECONDS,
        context: dict[str, Any],
        curves: LiveCurves | None = None,
    ) -> None:
        self._path, self._every, self._context, self._curves = path, min(SECONDS, every), context, curves
        self._last = 0.0

    def __enter__(self) -> Self:
        if self._path:
            self._path.parent.mkdir(exist_ok=True)
        self._file = open(self._path or os.devnull, "a", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, figures: dict[str, Any]) -> None:
        self._last = time.monotonic()
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **self._context, **figures}
        print(json.dumps(line), file=self._file, flush=True)
        if self._curves:
            self._curves.add(figures)

    def progress(self, figures: dict[str, Any]) -> None:
        """Writes the line unless the last one is only a few seconds old."""
        if time.monotonic() - self._last >= self._every:
            self.write(figures)
