"""What every reader yields: examples, and what it could not use."""

from typing import Literal, NamedTuple, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test", "shifted"]


# The class; or a tag for each word, or several labels of one example; or numbers by their names.
Label: TypeAlias = str | tuple[str, ...] | dict[str, float]


class Example(NamedTuple):
    """One example as the source has it."""

    where: str  # the file and its row or line, for messages
    content: bytes | str | tuple[str, ...]  # an image file (PNG, JPEG, WebP); a text; the words of a sentence
    label: Label
    split: Split | None = None  # if the source defines it
    group: str | None = None  # the examples of a group all go into one split
    key: bytes | None = None  # two images are equal if their keys are; without a key, if their files are
    changed: str | None = None  # how it differs from the file: the report counts by it
    slices: dict[str, str] | None = None  # what evaluate compares figures by, such as a user's column


class Refused(NamedTuple):
    """A row, line or file that cannot be used."""

    where: str
    reason: str  # always the same words for the same fault: the report counts by reason
    unlabelled: Split | None = None  # the split of an example that only lacks its label


def in_a_class(item: Example | Refused) -> Example | Refused:
    """A text that lies in no folder has no class, though a language model may learn from it."""
    if isinstance(item, Example) and item.label == "":
        return Refused(item.where, "lies in no class folder", item.split)
    return item
