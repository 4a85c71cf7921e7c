"""The sections `datasets.NAME.preprocessing` of params.yaml, one for each task: an encoder's spec with its limits."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.encoders.specs import CorpusSpec, ImageSpec, TextSpec, WordSpec


class ImagePreprocessing(Section):
    """The size and colour of the images that the model takes."""

    height: PositiveInt = 64
    """In pixels. Larger shows more, and training time grows with height times width."""
    width: PositiveInt = 64
    """In pixels."""
    colour: Literal["grey", "rgb"] = "rgb"
    """`grey` has one channel: use it where colour does not matter."""
    resize: Literal["exact", "shorter", "pad"] = "pad"
    """What to do with other proportions: `exact` stretches, `shorter` crops the longer side, `pad` adds bars."""
    margin: NonNegativeInt = 0
    """Pixels by which training images are larger on each axis. Each epoch sees another crop, evaluation the centre."""
    background: Literal["black", "white", "edge"] = "black"
    """The colour of bars and of transparent areas. `edge`: the image's own along its sides, as clip art needs."""

    @property
    def spec(self) -> ImageSpec:
        return ImageSpec(**self.model_dump())


class TextPreprocessing(Section):
    """How a text that gets labels or numbers is split into tokens."""

    tokenizer: Literal["bpe", "wordpiece", "words", "characters"] = "bpe"
    """`bpe` suits every script; `words` splits at whitespace and punctuation; `characters` suits short strings."""
    vocabulary: Annotated[int, Field(ge=2)] = 8000
    """The largest number of different tokens. Fewer for little text, more for much."""
    normalisation: Literal["none", "nfc", "nfkc"] = "nfkc"
    """The form of Unicode: `nfkc` unifies variants of a character, such as ligatures and full-width letters."""
    lowercase: bool = False
    """Use it where case does not matter. Helps with little data."""
    max_length: PositiveInt = 512
    """In tokens: a longer text is cut. Training time grows with it."""
    keep: Literal["start", "ends"] = "ends"
    """What is kept of a longer text: its start, or three quarters from its start and the rest from its end."""

    @property
    def spec(self) -> TextSpec:
        return TextSpec(**self.model_dump())


class CorpusPreprocessing(Section):
    """How the texts of a language model are split into tokens."""

    tokenizer: Literal["bpe", "characters"] = "bpe"
    """`characters` for small text; both can restore every text that they encode."""
    vocabulary: Annotated[int, Field(ge=2)] = 8000
    """The largest number of different tokens: some 400 for a book, 8,000 for a library, 50,000 for the web."""
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    """The form of Unicode."""

    @property
    def spec(self) -> CorpusSpec:
        return CorpusSpec(**self.model_dump())


class WordPreprocessing(Section):
    """How the words of a sentence are numbered."""

    vocabulary: PositiveInt = 20000
    """The largest number of words with an id of their own; the others are known by their characters alone."""
    lowercase: bool = True
    """Applies to a word's id; its characters keep their case."""
    max_length: PositiveInt = 256
    """In words: a longer sentence is split."""
    word_length: Annotated[int, Field(ge=2)] = 16
    """In characters: a longer word loses its middle."""

    @property
    def spec(self) -> WordSpec:
        return WordSpec(**self.model_dump())
