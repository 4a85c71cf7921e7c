"""What the command line says of --file, and of standard input."""

from typing import Any, NamedTuple

STDIN, STDIN_PATH, STDIN_NAME = "-", "/dev/stdin", "standard input"


class Form(NamedTuple):
    """How the files of --file are read."""

    column: str | None = None
    encoding: str | None = None
    quoting: Any = None
    words: bool = False  # whether sentences of words are wanted
    keep: bool = False  # whether all columns of a table are

    @property
    def text(self) -> str:
        """The column of a table that holds the texts."""
        return "text" if self.column is None else self.column


DEFAULT = Form()
