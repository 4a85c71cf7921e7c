"""The sections `datasets.NAME.preprocessing` of params.yaml, one for each task: an encoder's spec with its limits."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.encoders.specs import CorpusSpec, ImageSpec, TextSpec, WordSpec


class ImagePreprocessing(Section):
    """The size and colour of the images that the model takes."""

    height: PositiveInt
    width: PositiveInt
    colour: Literal["grey", "rgb"]
    resize: Literal["exact", "shorter", "pad"]
    margin: NonNegativeInt
    background: Literal["black", "white", "edge"] = "black"

    @property
    def spec(self) -> ImageSpec:
        return ImageSpec(**self.model_dump())


class TextPreprocessing(Section):
    """How a text that gets one label is split into tokens."""

    tokenizer: Literal["bpe", "wordpiece", "words", "characters"]
    vocabulary: Annotated[int, Field(ge=2)]
    normalisation: Literal["none", "nfc", "nfkc"]
    lowercase: bool
    max_length: PositiveInt
    keep: Literal["start", "ends"]

    @property
    def spec(self) -> TextSpec:
        return TextSpec(**self.model_dump())


class CorpusPreprocessing(Section):
    """How the texts of a language model are split into tokens."""

    tokenizer: Literal["bpe", "characters"]
    vocabulary: Annotated[int, Field(ge=2)]
    normalisation: Literal["none", "nfc", "nfkc"]

    @property
    def spec(self) -> CorpusSpec:
        return CorpusSpec(**self.model_dump())


class WordPreprocessing(Section):
    """How the words of a sentence are numbered."""

    vocabulary: PositiveInt
    lowercase: bool
    max_length: PositiveInt
    word_length: Annotated[int, Field(ge=2)]

    @property
    def spec(self) -> WordSpec:
        return WordSpec(**self.model_dump())
