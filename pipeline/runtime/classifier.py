"""A packaged classifier of images, texts or the words of sentences: raw inputs -> the probability of each label.

Needs jax, flatbuffers, jaxtyping, numpy and safetensors; for images also pillow, for texts also tokenizers. An
encoder's library is imported only for a package that needs it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Shaped

from .encoders import specs
from .errors import UserError
from .package import LANGUAGE_MODEL, load_function, open_package, read_object

BATCH_SIZE = {"image-classification": 256, "text-classification": 64, "sequence-tagging": 64}
MIN_LENGTH = 16  # tokens: shorter texts are padded to this length, so that fewer shapes are compiled
MAX_CHARACTERS = 1_000_000  # of a text: about a second's work for a tokenizer

Arrays: TypeAlias = tuple[Shaped[np.ndarray, "..."], ...]  # the model's inputs for one example
Encoder: TypeAlias = Callable[[Any, str], Arrays]


class Piece(NamedTuple):
    """A part of an example that the model reads at once: all of it, unless it is a sentence that is too long."""

    example: int  # its number
    start: int  # the first word
    arrays: Arrays


class Classifier:
    """A packaged classifier. Raises UserError for a folder that is not a classifier's package, or is damaged."""

    def __init__(self, folder: Path) -> None:
        self.config = open_package(folder)
        self.task: str = self.config["task"]
        if self.task == LANGUAGE_MODEL:
            raise UserError(f"{folder}: contains a language model, which cannot classify")
        self._encode, self._max_words = _encoder(folder, self.task, self.config["preprocessing"])
        self._call, classes = _compile(folder)
        self.labels: list[str] = read_object(folder / "labels.json", "labels")["labels"]
        if not isinstance(self.labels, list) or [type(label) for label in self.labels] != [str] * classes:
            raise UserError(f"{folder / 'labels.json'}: labels must be {classes} names, as many as the model has")

    def encode(self, content: bytes | str | Sequence[str], name: str) -> Arrays:
        """The model's inputs for the bytes of an image file, a text, or the words of a sentence, as the task needs.

        Raises UserError that names the input as `name`.
        """
        return self._encode(content, name)

    def probabilities(self, examples: Sequence[Arrays]) -> list[Float[np.ndarray, "*t k"]]:
        """The probability of each label: one row for an example or, for tags, one row for each word.

        Examples run in batches of few shapes, since each new shape is compiled.
        """
        pieces = [piece for number, arrays in enumerate(examples) for piece in self._split_long(number, arrays)]
        outputs: list[list[tuple[int, np.ndarray]]] = [[] for _ in examples]
        for batch, length in self._bucket(pieces):
            for piece, output in zip(batch, self._run(batch, length)):
                outputs[piece.example].append((piece.start, output))
        return [self._rejoin(parts) for parts in outputs]

    def _split_long(self, number: int, arrays: Arrays) -> Iterator[Piece]:
        if self._max_words is None:
            yield Piece(number, 0, arrays)
            return
        for start in range(0, len(arrays[0]), self._max_words):
            yield Piece(number, start, tuple(array[start : start + self._max_words] for array in arrays))

    def _bucket(self, pieces: list[Piece]) -> Iterator[tuple[list[Piece], int]]:
        """Batches of pieces that are padded to the same length, and that length."""
        for length, group in groupby(sorted(pieces, key=self._padded_length), self._padded_length):
            bucket = list(group)
            for start in range(0, len(bucket), BATCH_SIZE[self.task]):
                yield bucket[start : start + BATCH_SIZE[self.task]], length

    def _padded_length(self, piece: Piece) -> int:
        """A power of two for texts; images all have one size, so 0 stands for no padding."""
        if self.task == "image-classification":
            return 0
        return max(MIN_LENGTH, 1 << (len(piece.arrays[0]) - 1).bit_length())

    def _run(self, batch: list[Piece], length: int) -> Iterator[Float[np.ndarray, "*t k"]]:
        """The outputs of each piece, without padding."""
        columns = zip(*(piece.arrays for piece in batch))
        rows = np.asarray(self._call(*(self._stack(column, length) for column in columns)))
        for piece, row in zip(batch, rows):
            yield row[: len(piece.arrays[0])] if self._max_words else row

    def _stack(self, arrays: Sequence[Shaped[np.ndarray, "..."]], length: int) -> Shaped[np.ndarray, "b ..."]:
        """A batch of the full size, padded with zeros; a single example runs alone, which is faster."""
        size = 1 if len(arrays) == 1 else BATCH_SIZE[self.task]
        shape = (length, *arrays[0].shape[1:]) if length else arrays[0].shape
        batch = np.zeros((size, *shape), arrays[0].dtype)
        for row, array in zip(batch, arrays):
            row[: len(array)] = array
        return batch

    def _rejoin(self, parts: list[tuple[int, Float[np.ndarray, "*t k"]]]) -> Float[np.ndarray, "*t k"]:
        """An example's outputs, from those of its pieces in any order."""
        rows = [row for _, row in sorted(parts, key=lambda part: part[0])]
        return np.concatenate(rows) if self._max_words else rows[0]


def _encoder(folder: Path, task: str, preprocessing: Any) -> tuple[Encoder, int | None]:
    """What encodes an input, and the largest number of words in a sentence, for a task that labels words."""
    where = f"{folder / 'config.json'}: preprocessing"
    if task == "image-classification":
        from .encoders import images

        image_spec = specs.read(specs.ImageSpec, preprocessing, where)
        return lambda content, name: (images.decode(content, image_spec, name),), None
    if task == "text-classification":
        from .encoders import text_tokenizer
        from .encoders.valid_text import valid_text

        text_spec = specs.read(specs.TextSpec, preprocessing, where)
        tokenizer = text_tokenizer.load(folder / "tokenizer.json")

        def encode_text(text: str, name: str) -> Arrays:
            if not text.strip():
                raise UserError(f"{name}: has no text")
            (tokens,) = text_tokenizer.encode(tokenizer, [valid_text(text, name)[:MAX_CHARACTERS]])
            return (text_tokenizer.truncate(tokens, text_spec),)

        return encode_text, None
    from .encoders import word_vocabulary
    from .encoders.valid_text import valid_text

    word_spec = specs.read(specs.WordSpec, preprocessing, where)
    vocabulary = word_vocabulary.load(folder / "words.json", word_spec)

    def encode_words(words: Sequence[str], name: str) -> Arrays:
        if not words:
            raise UserError(f"{name}: has no words")
        for word in words:
            valid_text(word, name)
        return tuple(vocabulary.encode(words))

    return encode_words, word_spec.max_length


def _compile(folder: Path) -> tuple[Callable[..., Any], int]:
    """The compiled model, and how many labels it has."""
    import jax

    exported, weights = load_function(folder)
    # Closed over, the weights are constants to the compiler: nearly four times faster for a convolution on a CPU.
    return jax.jit(lambda *inputs: exported.call(weights, *inputs)), exported.out_avals[0].shape[-1]
