"""Texts. Needs tokenizers."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..encoders import specs, text_tokenizer
from ..encoders.valid_text import valid_text
from ..errors import UserError
from . import Arrays


class Texts:
    batch_size, from_files, min_length, max_tokens = 64, False, 16, None
    from_words = False

    def __init__(self, tokenizer: Tokenizer, spec: specs.TextSpec) -> None:
        self._tokenizer, self._spec = tokenizer, spec

    def parse(self, text: str) -> str:
        return text

    def pieces(self, content: str) -> list[str]:
        """The text in the parts that its tokens are, as `encode` takes it."""
        return text_tokenizer.pieces(self._tokenizer, content, self._spec)

    def encode(self, content: str, name: str) -> Arrays:
        if not content.strip():
            raise UserError(f"{name}: has no text")
        (tokens,) = text_tokenizer.encode(self._tokenizer, [valid_text(content, name)])
        return (text_tokenizer.truncate(tokens, self._spec),)


def load(folder: Path, preprocessing: Any, where: str) -> Texts:
    return Texts(text_tokenizer.load(folder / "tokenizer.json"), specs.read(specs.TextSpec, preprocessing, where))
