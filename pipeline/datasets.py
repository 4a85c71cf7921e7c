"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.images import ImageSpec
from pipeline.params import Section

TaskName = Literal["image-classification"]


class Split(Section):
    """Which share of the examples is held out, by a hash of their content, where the source has no such split."""

    validation: Annotated[float, Field(gt=0, lt=0.5)]
    test: Annotated[float, Field(gt=0, lt=0.5)] | None = None


class Dataset(Section):
    task: TaskName
    reader: str
    source: str
    split: Split
    preprocessing: ImageSpec
