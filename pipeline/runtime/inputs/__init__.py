"""Raw inputs -> the arrays that a model takes: one module for each kind of input, loaded only where it is needed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Shaped

from ..errors import UserError

KINDS = ("images", "sentences", "texts")

Arrays: TypeAlias = tuple[Shaped[np.ndarray, "..."], ...]  # the model's inputs for one example
Raw: TypeAlias = bytes | str | Sequence[str]  # an image file, a text, the words of a sentence


class InputKind(Protocol):
    batch_size: int  # examples that run together
    from_files: bool  # whether an input is a file; otherwise it is text
    from_words: bool  # whether an input is the words of a sentence
    min_length: int  # in tokens, of an example where each length is compiled; 0 where all have one shape
    max_tokens: int | None  # where each token has an output: of a longer example, parts of so many tokens run

    def parse(self, text: str) -> Raw:
        """A raw input that was typed, or read from a text file."""
        ...

    def encode(self, content: Any, name: str) -> Arrays:
        """The model's inputs. Raises UserError that names the input as `name`."""
        ...


def load(kind: Any, folder: Path, preprocessing: Any) -> InputKind:
    """What encodes inputs of a kind, from the package in `folder`. Raises UserError where its files do not say how."""
    where = f"{folder / 'config.json'}: preprocessing"
    if kind not in KINDS:
        raise UserError(f"{folder / 'config.json'}: input_kind must be one of {', '.join(KINDS)}, not {kind!r}")
    return import_module(f".{kind}", __name__).load(folder, preprocessing, where)
