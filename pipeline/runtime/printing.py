"""Printing never ends a command or a stage, and never controls the terminal: control characters, characters that change
the direction of text, and those that the output's encoding lacks are escaped.
"""

import io
import os
import re
import sys
from typing import Any, TextIO

# Control characters other than tab and line feed, and those that change the direction of the text after them.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def set_up() -> None:
    """For the rest of this process. Standard error escapes only what its encoding lacks: progress bars move its cursor,
    and what errors quote is escaped already.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before this process began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = Output(sys.stdout)  # type: ignore[assignment]


def content() -> None:
    """From now on standard output is data, CSV or JSON: unescaped, and always in UTF-8."""
    if isinstance(sys.stdout, Output):
        sys.stdout.escapes = False
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]


def raw(text: str) -> None:
    """Prints a text with its control characters, such as the colours of a terminal."""
    stream = sys.stdout
    if isinstance(stream, Output):
        stream.write_raw(text)
    else:
        stream.write(text)


def outlive_readers() -> None:
    """A stage goes on when the terminal is closed, the pipe's reader ends, or the log's disk is full."""
    sys.stdout = Output(sys.stdout, outlasts=True, escapes=isinstance(sys.stdout, Output))  # type: ignore[assignment]
    sys.stderr = Output(sys.stderr, outlasts=True, escapes=False)  # type: ignore[assignment]


def shown(text: str) -> str:
    """The text with its control characters escaped."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


class Output:
    """An output stream that escapes control characters; where it `outlasts`, it falls silent when writing fails."""

    def __init__(self, stream: TextIO, *, escapes: bool = True, outlasts: bool = False) -> None:
        self._stream, self.escapes, self._outlasts = stream, escapes, outlasts

    def write(self, text: str) -> int:
        return self.write_raw(shown(text) if self.escapes else text)

    def write_raw(self, text: str) -> int:
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
        """Redirects the file descriptor, below Python's buffers, which still hold what could not be written."""
        if not self._outlasts:
            raise
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, self._stream.fileno())
        os.close(silence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
