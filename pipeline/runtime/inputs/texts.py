"""Texts. Needs tokenizers."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..encoders import specs, text_tokenizer
from ..encoders.valid_text import valid_text
from ..errors import UserError
from . import Arrays

MIN_LENGTH = 16  # tokens: shorter texts are padded to this length, so that fewer shapes are compiled
MAX_CHARACTERS = 1_000_000  # of a text: about a second's work for a tokenizer


class Texts:
    batch_size, from_files, max_tokens = 64, False, None

    def __init__(self, tokenizer: Tokenizer, spec: specs.TextSpec) -> None:
        self._tokenizer, self._spec = tokenizer, spec

    def parse(self, text: str) -> str:
        return text

    def encode(self, content: str, name: str) -> Arrays:
        if not content.strip():
            raise UserError(f"{name}: has no text")
        (tokens,) = text_tokenizer.encode(self._tokenizer, [valid_text(content, name)[:MAX_CHARACTERS]])
        return (text_tokenizer.truncate(tokens, self._spec),)

    def padded_length(self, arrays: Arrays) -> int:
        return max(MIN_LENGTH, 1 << (len(arrays[0]) - 1).bit_length())


def load(folder: Path, preprocessing: Any, where: str) -> Texts:
    return Texts(text_tokenizer.load(folder / "tokenizer.json"), specs.read(specs.TextSpec, preprocessing, where))
