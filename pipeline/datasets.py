"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, RootModel

from pipeline.images import ImageSpec
from pipeline.params import Section
from pipeline.readers import Reader
from pipeline.split import Split
from pipeline.tasks import ClassWeights
from pipeline.texts import TextSpec
from pipeline.words import WordSpec


class Source(Section):
    """What the sections of all tasks have in common."""

    reader: Reader
    source: str
    split: Split
    max_bad_rows: NonNegativeInt  # so many rows or files may be unusable before that is an error
    class_weights: ClassWeights


class Images(Source):
    task: Literal["image-classification"]
    preprocessing: ImageSpec


class Texts(Source):
    task: Literal["text-classification"]
    preprocessing: TextSpec


class Tagging(Source):
    task: Literal["sequence-tagging"]
    preprocessing: WordSpec


Dataset: TypeAlias = Images | Texts | Tagging


class DatasetSection(RootModel[Annotated[Dataset, Field(discriminator="task")]]):
    """One section, by its task."""
