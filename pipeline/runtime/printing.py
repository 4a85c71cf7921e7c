"""What is printed never ends a command or a stage: text that an encoding lacks is escaped, and a stage goes on when
nobody can read its output any more.
"""

import io
import os
import sys
from typing import Any, TextIO


def escape() -> None:
    """From now on, characters that the encoding of an output lacks are printed as escapes: `\\u2013`, `\\udcff`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before this process began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def utf8() -> None:
    """Standard output holds a file's content from now on, CSV or JSON, which is UTF-8 wherever it goes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def outlive_readers() -> None:
    """A stage trains on when the terminal is closed, the pipe's reader ends, or the log's disk is full."""
    sys.stdout, sys.stderr = _Outlasting(sys.stdout), _Outlasting(sys.stderr)  # type: ignore[assignment]


class _Outlasting:
    """An output stream that falls silent where the original one fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            self._fall_silent()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        """Below Python's buffers, which still hold what could not be written."""
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, self._stream.fileno())
        os.close(silence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
