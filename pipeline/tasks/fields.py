"""The types of a task's fields, which preprocess fills in."""

from typing import Annotated

from pydantic import Field

Labels = Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
LabelCounts = Annotated[tuple[int, ...], Field(strict=False, min_length=2)]
TokenCounts = Annotated[tuple[int, ...], Field(strict=False, min_length=1)]
Channels = Annotated[tuple[float, ...], Field(strict=False)]
