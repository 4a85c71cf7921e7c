"""The kinds of inputs that networks read: images, texts, sentences of words, one long text.

Each holds what preprocess learnt of the inputs, a part of data/features/task.json, and says how a batch is gathered.
Axes: b batch, h height, w width, c channels, t tokens or words, l characters of a word.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Real, UInt8
from pydantic import Field, PositiveInt

from pipeline.config.preprocessing import CorpusPreprocessing, ImagePreprocessing, TextPreprocessing, WordPreprocessing
from pipeline.config.section import Section
from pipeline.examples.batch import PAD, Batch, Examples, ModelInputs, Words, window

Channels = Annotated[tuple[float, ...], Field(strict=False)]
Signature = dict[str, jax.ShapeDtypeStruct]


class InputKind(Section):
    """What all kinds have. `settings` is the section `preprocessing` that the inputs were made with."""

    per_token: ClassVar = False  # whether each token of an example has a target
    by_shard: ClassVar = False  # whether each of several devices gathers from its own part of the data

    @property
    def facts(self) -> dict[str, Any]:
        """What a package must know of the data to encode an input."""
        return {name: value for name, value in self.model_dump().items() if name not in ("kind", "settings")}

    def augment(self, inputs: ModelInputs, settings: Any, key: Key[Array, ""]) -> ModelInputs:
        """The inputs of a training batch, changed at random as the settings `augmentation` say: targets stay valid."""
        return inputs

    def as_in_use(self, examples: Examples) -> Examples:
        """Training examples as a model in use sees such ones: without what only augmentation needs."""
        return examples


class Images(InputKind):
    """uint8 images `b h w c`, all of one size."""

    kind: Literal["images"] = "images"
    settings: ImagePreprocessing
    mean: Channels  # of each channel of the training images, 0 to 1
    std: Channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """An image's height, width and channels."""
        return (self.settings.height, self.settings.width, self.settings.spec.channels)

    def standardise(self, images: Real[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Pixels of 0 to 255 scaled by the mean and the standard deviation of the training images' channels: here, so
        that images travel to the device as bytes.
        """
        mean, std = (jnp.asarray(x).reshape(1, 1, 1, -1) for x in (self.mean, self.std))  # 1 1 1 c
        return (images.astype(jnp.float32) / 255 - mean) / std

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The examples `rows`; a row of -1 is padding. All images have one size: `length` is not used."""
        return Batch(jnp.asarray(data.inputs["images"])[rows], jnp.asarray(data.targets)[rows], rows >= 0)

    def as_in_use(self, examples: Examples) -> Examples:
        """Without the margin around training images."""
        images, (height, width, _) = np.asarray(examples.inputs["images"]), self.shape
        top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
        return examples._replace(inputs={"images": images[:, top : top + height, left : left + width]})

    def signature(self, b: object, t: object) -> Signature:
        """The names, shapes and types of the model's inputs, `b` of them."""
        return {"images": jax.ShapeDtypeStruct((b, *self.shape), np.uint8)}

    def model_inputs(self, images: UInt8[Array, "b h w c"]) -> UInt8[Array, "b h w c"]:
        """The model's inputs, from the arrays that `signature` names."""
        return images

    def augment(self, inputs: ModelInputs, settings: Any, key: Key[Array, ""]) -> ModelInputs:
        from pipeline.examples import augmentation

        assert not isinstance(inputs, Words)
        return augmentation.of_training(inputs, self.settings, settings, key)


class Texts(InputKind):
    """Token numbers `b t`, 0 for padding."""

    kind: Literal["texts"] = "texts"
    settings: TextPreprocessing
    vocabulary: PositiveInt  # how many different tokens there are

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The first `length` tokens of the examples `rows`; a row of -1 is padding."""
        places, valid = window(jnp.asarray(data.starts), rows, length)  # b t
        tokens = jnp.where(valid, jnp.asarray(data.inputs["tokens"])[places].astype(jnp.int32), PAD)  # b t
        return Batch(tokens, jnp.asarray(data.targets)[rows], rows >= 0)

    def signature(self, b: object, t: object) -> Signature:
        """The names, shapes and types of the model's inputs: `b` texts of up to `t` tokens."""
        return {"tokens": jax.ShapeDtypeStruct((b, t), np.int32)}

    def model_inputs(self, tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
        """The model's inputs, from the arrays that `signature` names."""
        return tokens


class Sentences(InputKind):
    """Words `b t` with their characters, 0 for padding; each word has a target."""

    per_token: ClassVar = True

    kind: Literal["sentences"] = "sentences"
    settings: WordPreprocessing
    vocabulary: PositiveInt  # how many different words have a number of their own
    alphabet: PositiveInt  # how many different characters have one

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The first `length` words of the examples `rows`; a row of -1 is padding."""
        places, valid = window(jnp.asarray(data.starts), rows, length)  # b t
        words = jnp.where(valid, jnp.asarray(data.inputs["words"])[places].astype(jnp.int32), PAD)  # b t
        characters = jnp.asarray(data.inputs["characters"])[places].astype(jnp.int32)  # b t l
        characters = jnp.where(valid[..., None], characters, PAD)
        return Batch(Words(words, characters), jnp.asarray(data.targets)[places], valid)

    def signature(self, b: object, t: object) -> Signature:
        """The names, shapes and types of the model's inputs: `b` sentences of up to `t` words."""
        return {
            "words": jax.ShapeDtypeStruct((b, t), np.int32),
            "characters": jax.ShapeDtypeStruct((b, t, self.settings.word_length), np.int32),
        }

    def model_inputs(self, words: Int[Array, "b t"], characters: Int[Array, "b t l"]) -> Words:
        """The model's inputs, from the arrays that `signature` names."""
        return Words(words, characters)


class Corpus(InputKind):
    """Token numbers `b t` of windows of one long text, with token 0 before each of its documents; each token's target
    is the one that follows.
    """

    per_token: ClassVar = True
    by_shard: ClassVar = True

    kind: Literal["corpus"] = "corpus"
    settings: CorpusPreprocessing
    vocabulary: PositiveInt  # how many different tokens there are

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """Windows of `length` tokens. `rows` says where each begins; -1 is padding."""
        places = jnp.maximum(rows, 0)[:, None] + jnp.arange(length + 1)[None]  # b t+1
        tokens = jnp.asarray(data.inputs["tokens"]).at[places].get(mode="fill", fill_value=0).astype(jnp.int32)
        valid = jnp.broadcast_to((rows >= 0)[:, None], (len(rows), length))  # b t
        return Batch(tokens[:, :-1], tokens[:, 1:], valid)

    def signature(self, b: object, t: object) -> Signature:
        """The names, shapes and types of the model's inputs: `b` texts of `t` tokens."""
        return {"tokens": jax.ShapeDtypeStruct((b, t), np.int32)}

    def model_inputs(self, tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
        """The model's inputs, from the arrays that `signature` names."""
        return tokens


Inputs: TypeAlias = Images | Texts | Sentences | Corpus
