"""One label, a tag, for each word of a sentence. Axes: b batch, t words, l characters of a word."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from pydantic import PositiveInt

from pipeline.config.preprocessing import WordPreprocessing
from pipeline.config.section import Section
from pipeline.tasks.batch import PAD, Batch, Examples, Words, window
from pipeline.tasks.fields import LabelCounts, Labels


class SequenceTagging(Section):
    """Inputs are Words `b t`, 0 for padding."""

    per_token: ClassVar = True  # whether each token of an example has a target

    name: Literal["sequence-tagging"]
    words: WordPreprocessing
    vocabulary: PositiveInt  # how many different words have a number of their own
    alphabet: PositiveInt  # how many different characters have one
    labels: Labels  # the training split's tags; numbers beyond them are the tags of another split alone
    counts: LabelCounts  # of each tag in the training split

    @property
    def facts(self) -> dict[str, Any]:
        """What a package must know of the data to encode an input."""
        return {
            "preprocessing": self.words.model_dump(),
            "vocabulary": self.vocabulary,
            "alphabet": self.alphabet,
        }

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    @property
    def max_length(self) -> int:
        return self.words.max_length

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The first `length` words of the examples `rows`; a row of -1 is padding."""
        places, valid = window(jnp.asarray(data.starts), rows, length)  # b t
        words = jnp.where(valid, jnp.asarray(data.inputs["words"])[places].astype(jnp.int32), PAD)  # b t
        characters = jnp.asarray(data.inputs["characters"])[places].astype(jnp.int32)  # b t l
        characters = jnp.where(valid[..., None], characters, PAD)
        return Batch(Words(words, characters), jnp.asarray(data.targets)[places], valid)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs: `b` sentences of up to `t` words."""
        return {
            "words": jax.ShapeDtypeStruct((b, t), np.int32),
            "characters": jax.ShapeDtypeStruct((b, t, self.words.word_length), np.int32),
        }

    def inputs(self, words: Int[Array, "b t"], characters: Int[Array, "b t l"]) -> Words:
        """The model's inputs, from the arrays that `signature` names."""
        return Words(words, characters)
