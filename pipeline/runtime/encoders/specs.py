"""How raw inputs are encoded: one immutable spec for each kind of input.

A package's config.json holds a spec under `preprocessing`. `read` checks it with the standard library alone, so that a
package runs without a validation library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ..errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class AtLeast:
    """The smallest value that a number may have."""

    least: int


@dataclass(frozen=True)
class ImageSpec:
    """The size and colour of the images that the model takes."""

    height: Annotated[int, AtLeast(1)]
    width: Annotated[int, AtLeast(1)]
    colour: Literal["grey", "rgb"]
    resize: Literal["exact", "shorter", "pad"]
    margin: Annotated[int, AtLeast(0)]  # pixels by which training images are larger on each axis
    background: Literal["black", "white", "edge"]  # behind transparent parts, and what `pad` fills up with

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3


@dataclass(frozen=True)
class TextSpec:
    """How a text that gets one label is split into tokens."""

    tokenizer: Literal["bpe", "wordpiece", "words", "characters"]
    vocabulary: Annotated[int, AtLeast(2)]  # the largest number of different tokens
    normalisation: Literal["none", "nfc", "nfkc"]  # of Unicode
    lowercase: bool
    max_length: Annotated[int, AtLeast(1)]  # in tokens
    keep: Literal["start", "ends"]  # of a longer text: its start, or its start (3/4) and its end (1/4)


@dataclass(frozen=True)
class CorpusSpec:
    """How the texts of a language model are split into tokens."""

    tokenizer: Literal["bpe", "characters"]
    vocabulary: Annotated[int, AtLeast(2)]  # the largest number of different tokens
    normalisation: Literal["none", "nfc", "nfkc"]  # of Unicode


@dataclass(frozen=True)
class WordSpec:
    """How the words of a sentence are numbered."""

    vocabulary: Annotated[int, AtLeast(1)]  # the largest number of words with an id of their own
    lowercase: bool  # for a word's id; its characters stay as they are
    max_length: Annotated[int, AtLeast(1)]  # in words: a longer sentence is split
    word_length: Annotated[int, AtLeast(2)]  # in characters: a longer word loses its middle


def read(cls: type[T], content: Any, where: str) -> T:
    """The JSON object `content` as a `cls`. Raises UserError for a key that is missing, unknown or has a wrong value;
    `where` names the object in that message.
    """
    hints = get_type_hints(cls, include_extras=True)
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: must be an object with the keys {', '.join(hints)}")
    for key in (*hints, *content):
        if key not in content:
            raise UserError(f"{where}.{key}: is missing")
        if key not in hints:
            raise UserError(f"{where}.{key}: unknown key; the keys here: {', '.join(hints)}")
        if rule := _broken_rule(hints[key], content[key]):
            raise UserError(f"{where}.{key}: must be {rule}, not {content[key]!r}")
    return cls(**content)


def _broken_rule(hint: Any, value: Any) -> str | None:
    """What a value of this type must be, or None for a value that is."""
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        return None if any(type(value) is type(one) and value == one for one in allowed) else f"one of {allowed}"
    kind, limit = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    if type(value) is not kind:  # a bool is no number
        return {int: "an integer", bool: "true or false"}[kind]
    return f"{limit.least} or more" if limit is not None and value < limit.least else None
