"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, RootModel

from pipeline.config.preprocessing import (
    CorpusPreprocessing,
    ImagePreprocessing,
    TextPreprocessing,
    WordPreprocessing,
)
from pipeline.config.section import Section
from pipeline.config.training import ClassWeights
from pipeline.readers import Reader
from pipeline.readers.split import Split


class Source(Section):
    """What the sections of all tasks share."""

    reader: Reader
    source: str
    split: Split
    max_bad_rows: NonNegativeInt  # rows or files that may be unusable; more are an error


class Labelled(Source):
    class_weights: ClassWeights


class Images(Labelled):
    task: Literal["image-classification"]
    preprocessing: ImagePreprocessing


class Texts(Labelled):
    task: Literal["text-classification"]
    preprocessing: TextPreprocessing


class Tagging(Labelled):
    task: Literal["sequence-tagging"]
    preprocessing: WordPreprocessing


class Corpora(Source):
    task: Literal["language-modelling"]
    class_weights: Literal["none"]
    preprocessing: CorpusPreprocessing


Dataset: TypeAlias = Images | Texts | Tagging | Corpora


class DatasetSection(RootModel[Annotated[Dataset, Field(discriminator="task")]]):
    """One section, by its task."""
