"""Sentences, as lists of words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..encoders import specs, word_vocabulary
from ..encoders.valid_text import valid_text
from ..encoders.word_vocabulary import Vocabulary
from ..errors import UserError
from . import Arrays

MIN_LENGTH = 16  # words: shorter sentences are padded to this length, so that fewer shapes are compiled


class Sentences:
    batch_size, from_files = 64, False

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.max_tokens: int | None = vocabulary.spec.max_length

    def parse(self, text: str) -> list[str]:
        """The words of a sentence that stand apart."""
        return text.split()

    def encode(self, content: Sequence[str], name: str) -> Arrays:
        if not content:
            raise UserError(f"{name}: has no words")
        for word in content:
            valid_text(word, name)
        return tuple(self._vocabulary.encode(content))

    def padded_length(self, arrays: Arrays) -> int:
        return max(MIN_LENGTH, 1 << (len(arrays[0]) - 1).bit_length())


def load(folder: Path, preprocessing: Any, where: str) -> Sentences:
    spec = specs.read(specs.WordSpec, preprocessing, where)
    return Sentences(word_vocabulary.load(folder / "words.json", spec))
