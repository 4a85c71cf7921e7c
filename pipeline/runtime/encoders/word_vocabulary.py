"""Sentences -> ids of words and of their characters. Preprocessing and packages run this same code.

A frequent word has an id of its own. The characters of every word reach the model, since the start and the end of a
word say much about its tag.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from .. import strict_json
from ..errors import UserError
from .specs import WordSpec

PADDING, UNKNOWN = 0, 1  # no word or character; one without an id of its own
FIRST = 2  # the first id of a known word or character


class EncodedWords(NamedTuple):
    words: Int32[np.ndarray, " t"]
    characters: Int32[np.ndarray, "t l"]  # right-aligned, padded on the left


class Vocabulary:
    """The words and characters that have an id, in the order of their ids."""

    def __init__(self, words: Sequence[str], characters: Sequence[str], spec: WordSpec) -> None:
        self.words, self.characters, self.spec = words, characters, spec
        self._word_ids = {word: i for i, word in enumerate(words, FIRST)}
        self._character_ids = {character: i for i, character in enumerate(characters, FIRST)}

    def encode(self, sentence: Sequence[str]) -> EncodedWords:
        """The ids of a sentence's words, and of each word's characters."""
        size = self.spec.word_length
        words = np.array([self._word_ids.get(normalise(word, self.spec), UNKNOWN) for word in sentence], np.int32)
        characters = np.full((len(sentence), size), PADDING, np.int32)
        for row, word in zip(characters, sentence):
            kept = word if len(word) <= size else word[: size // 2] + word[len(word) - (size - size // 2) :]
            row[size - len(kept) :] = [self._character_ids.get(character, UNKNOWN) for character in kept]
        return EncodedWords(words, characters)


def load(path: Path, spec: WordSpec) -> Vocabulary:
    """The vocabulary in a words.json. Raises UserError if it is missing or damaged."""
    content = strict_json.read(path)
    try:
        return Vocabulary(content["words"], content["characters"], spec)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a vocabulary; `dvc repro` writes it again") from error


def normalise(word: str, spec: WordSpec) -> str:
    """The form under which a word has its id."""
    word = unicodedata.normalize("NFC", word)
    return word.lower() if spec.lowercase else word
