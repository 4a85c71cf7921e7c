"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, RootModel

from pipeline.config.section import Section
from pipeline.config.training import ClassWeights
from pipeline.readers import Reader
from pipeline.readers.split import Split
from pipeline.runtime.encoders.byte_tokenizer import CorpusSpec
from pipeline.runtime.encoders.images import ImageSpec
from pipeline.runtime.encoders.text_tokenizer import TextSpec
from pipeline.runtime.encoders.word_vocabulary import WordSpec


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
    preprocessing: ImageSpec


class Texts(Labelled):
    task: Literal["text-classification"]
    preprocessing: TextSpec


class Tagging(Labelled):
    task: Literal["sequence-tagging"]
    preprocessing: WordSpec


class Corpora(Source):
    task: Literal["language-modelling"]
    class_weights: Literal["none"]
    preprocessing: CorpusSpec


Dataset: TypeAlias = Images | Texts | Tagging | Corpora


class DatasetSection(RootModel[Annotated[Dataset, Field(discriminator="task")]]):
    """One section, by its task."""
