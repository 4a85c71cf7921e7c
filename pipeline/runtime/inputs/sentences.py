"""Sentences, as lists of words."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..encoders import specs, word_vocabulary
from ..encoders.valid_text import valid_text
from ..encoders.word_vocabulary import Vocabulary
from ..errors import UserError
from . import Arrays

BLANKS = re.compile(r"\s+", re.ASCII)


class Sentences:
    batch_size, from_files, min_length = 64, False, 16
    from_words = True

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.max_tokens: int | None = vocabulary.spec.max_length

    def parse(self, text: str) -> list[str]:
        """The words of a sentence, between ASCII's blanks: to the readers too, other blanks are part of words."""
        return [word for word in BLANKS.split(text) if word]

    def encode(self, content: Sequence[str], name: str) -> Arrays:
        if not content:
            raise UserError(f"{name}: has no words")
        for word in content:
            valid_text(word, name)
        return tuple(self._vocabulary.encode(content))


def load(folder: Path, preprocessing: Any, where: str) -> Sentences:
    spec = specs.read(specs.WordSpec, preprocessing, where)
    return Sentences(word_vocabulary.load(folder / "words.json", spec))
