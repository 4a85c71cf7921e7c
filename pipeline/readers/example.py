"""What every reader yields: examples, and what it had to leave out."""

from typing import Literal, NamedTuple, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test", "shifted"]


class Example(NamedTuple):
    """One example as the source has it."""

    where: str  # file, and row or line: for messages
    content: bytes | str | tuple[str, ...]  # an image file (PNG, JPEG, WebP); a text; the words of a sentence
    label: str | tuple[str, ...]  # the class; or a tag for each word
    split: Split | None = None  # where the source says so
    group: str | None = None  # examples of one group are never split up
    key: bytes | None = None  # what makes two images equal, where that is not the bytes of the file


class Refused(NamedTuple):
    """A row, line or file that is no example."""

    where: str
    reason: str  # the same words for the same fault: the report counts by it
