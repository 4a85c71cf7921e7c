"""Sentences of words -> numbers of words and of their characters; fitted on training sentences, the same code in use.

A word has a number of its own where it is frequent; its characters reach the model in any case, since the end and the
start of a word tell much about its tag.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int32
from pydantic import Field, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError

PADDING, UNKNOWN = 0, 1  # no word or character, one without a number of its own
FIRST = 2


class WordSpec(Section):
    """How words are numbered."""

    vocabulary: PositiveInt  # at most so many words have a number of their own
    lowercase: bool  # for numbering words; their characters stay as they are
    max_length: PositiveInt  # in words: a longer sentence is cut into several
    word_length: Annotated[int, Field(ge=2)]  # in characters: a longer word loses its middle


class Numbered(NamedTuple):
    words: Int32[np.ndarray, " t"]
    characters: Int32[np.ndarray, "t l"]  # at the end of each row; 0 before them


class Vocabulary:
    """The words and characters that have a number, in the order of their numbers."""

    def __init__(self, words: Sequence[str], characters: Sequence[str], spec: WordSpec) -> None:
        self.words, self.characters, self.spec = words, characters, spec
        self._word = {word: i for i, word in enumerate(words, FIRST)}
        self._character = {character: i for i, character in enumerate(characters, FIRST)}

    def number(self, sentence: Sequence[str]) -> Numbered:
        """The numbers of a sentence's words, and of each word's characters."""
        size = self.spec.word_length
        words = np.array([self._word.get(normal(word, self.spec), UNKNOWN) for word in sentence], np.int32)
        characters = np.full((len(sentence), size), PADDING, np.int32)
        for row, word in zip(characters, sentence):
            kept = word if len(word) <= size else word[: size // 2] + word[len(word) - (size - size // 2) :]
            row[size - len(kept) :] = [self._character.get(character, UNKNOWN) for character in kept]
        return Numbered(words, characters)

    def save(self, path: Path) -> None:
        strict_json.write(path, {"words": self.words, "characters": self.characters})


def fit(sentences: Iterable[Sequence[str]], spec: WordSpec) -> Vocabulary:
    """The most frequent words of the sentences, and all their characters; ties in the order of the alphabet."""
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for sentence in sentences:
        words.update(normal(word, spec) for word in sentence)
        for word in sentence:
            characters.update(word)
    return Vocabulary(_frequent(words)[: spec.vocabulary], _frequent(characters), spec)


def load(path: Path, spec: WordSpec) -> Vocabulary:
    """The vocabulary in a words.json. Raises UserError where it is missing or damaged."""
    content = strict_json.read(path)
    try:
        return Vocabulary(content["words"], content["characters"], spec)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a vocabulary; `dvc repro` makes it anew") from error


def normal(word: str, spec: WordSpec) -> str:
    """The form under which a word is numbered."""
    word = unicodedata.normalize("NFC", word)
    return word.lower() if spec.lowercase else word


def _frequent(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
