"""The types of what preprocess finds out about a data set."""

from typing import Annotated

from pydantic import Field

Labels = Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
Counts = Annotated[tuple[int, ...], Field(strict=False, min_length=2)]
Channels = Annotated[tuple[float, ...], Field(strict=False)]
