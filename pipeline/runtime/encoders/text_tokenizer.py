"""Texts -> token ids, by a tokenizer of Hugging Face's `tokenizers`. Preprocessing and packages run this same code.

Token 0 is padding.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from tokenizers import Tokenizer

from ..errors import UserError
from .specs import TextSpec

PADDING, UNKNOWN = "[PAD]", "[UNK]"
BLOCK = 1_000  # texts tokenized together
MAX_CHARACTERS = 1_000_000  # of a text, what follows is left out: about a second's work for a tokenizer
CUT = " [...] "  # what stands for the part of a text that is not read


def load(path: Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json. Raises UserError if it is missing or damaged."""
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises a bare Exception
        raise UserError(f"{path}: not a tokenizer ({error}); `dvc repro` writes it again") from error


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Int32[np.ndarray, " t"]]:
    """The token ids of each text, those of its first MAX_CHARACTERS. Only a block of texts is in memory at a time."""
    texts = (text[:MAX_CHARACTERS] for text in texts)
    while block := list(islice(texts, BLOCK)):
        for encoding in tokenizer.encode_batch_fast(block, add_special_tokens=False):
            yield np.asarray(encoding.ids, np.int32)


def truncate(tokens: Int32[np.ndarray, " t"], spec: TextSpec) -> Int32[np.ndarray, " s"]:
    """At most `max_length` of the tokens.

    The end of a text says more than its middle (Sun et al. 2019, arXiv:1905.05583, table 2): `ends` keeps some of it.
    """
    if len(tokens) <= spec.max_length or spec.keep == "start":
        return tokens[: spec.max_length]
    end = spec.max_length // 4
    return np.concatenate([tokens[: spec.max_length - end], tokens[len(tokens) - end :]])


def pieces(tokenizer: Tokenizer, text: str, spec: TextSpec) -> list[str]:
    """The text before normalisation, in parts: for each token that is kept, what stands up to the next token. A
    character of several tokens belongs to the last of them.
    """
    text = text[:MAX_CHARACTERS]
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    kept = truncate(np.arange(len(offsets), dtype=np.int32), spec).tolist()
    starts = [0, *(start for start, _ in offsets[1:]), len(text)]
    found: list[str] = []
    for place, following in zip(kept, [*kept[1:], len(offsets)]):
        is_cut = following != place + 1
        found.append(text[starts[place] : starts[place + 1]] + (CUT if is_cut else ""))
    return found
