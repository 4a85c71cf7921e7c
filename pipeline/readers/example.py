"""What every reader yields."""

from typing import Literal, NamedTuple


class Example(NamedTuple):
    """One labelled example as the source has it."""

    key: bytes  # its own content: two examples with equal keys are duplicates
    content: bytes  # an image file (PNG, JPEG, WebP)
    label: str
    split: Literal["train", "validation", "test"] | None  # where the source says so
