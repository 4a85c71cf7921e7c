"""The sections `datasets.NAME.preprocessing` of params.yaml, one for each task: an encoder's spec with its limits."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.encoders.specs import CorpusSpec, ImageSpec, TextSpec, WordSpec


class ImagePreprocessing(Section):
    """The size and colour of the images that the model takes."""

    height: PositiveInt = 64
    width: PositiveInt = 64
    colour: Literal["grey", "rgb"] = "rgb"
    resize: Literal["exact", "shorter", "pad"] = "pad"
    margin: NonNegativeInt = 0
    background: Literal["black", "white", "edge"] = "black"

    @property
    def spec(self) -> ImageSpec:
        return ImageSpec(**self.model_dump())


class TextPreprocessing(Section):
    """How a text that gets one label is split into tokens."""

    tokenizer: Literal["bpe", "wordpiece", "words", "characters"] = "bpe"
    vocabulary: Annotated[int, Field(ge=2)] = 8000
    normalisation: Literal["none", "nfc", "nfkc"] = "nfkc"
    lowercase: bool = False
    max_length: PositiveInt = 512
    keep: Literal["start", "ends"] = "ends"

    @property
    def spec(self) -> TextSpec:
        return TextSpec(**self.model_dump())


class CorpusPreprocessing(Section):
    """How the texts of a language model are split into tokens."""

    tokenizer: Literal["bpe", "characters"] = "bpe"
    vocabulary: Annotated[int, Field(ge=2)] = 8000
    normalisation: Literal["none", "nfc", "nfkc"] = "none"

    @property
    def spec(self) -> CorpusSpec:
        return CorpusSpec(**self.model_dump())


class WordPreprocessing(Section):
    """How the words of a sentence are numbered."""

    vocabulary: PositiveInt = 20000
    lowercase: bool = True
    max_length: PositiveInt = 256
    word_length: Annotated[int, Field(ge=2)] = 16

    @property
    def spec(self) -> WordSpec:
        return WordSpec(**self.model_dump())
