"""Texts <-> numbers of tokens without loss, for language models: the same code in preprocess and in use.

A text of any size is tokenized piece by piece; it is cut only where no tokenizer would join what stands on either side.
Token 0, which stands for no letter, marks where a document begins.
"""

import codecs
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Literal

import numpy as np
import tiktoken
from jaxtyping import Int32
from pydantic import Field
from tokenizers import Tokenizer

from pipeline.config.section import Section
from pipeline.runtime.encoders.text_tokenizer import PADDING, UNKNOWN
from pipeline.runtime.errors import UserError

START = 0
PIECE = 1 << 16  # characters that are tokenized as one, about
AHEAD = 64  # such pieces are read before the first is done: the processor's cores share them
# The words, beyond whose ends no bytes are joined, as `tokenizers` has it. The part in brackets needs no look ahead,
# and so is left to an automaton.
WORD = r"(?:'(?:[sdmt]|ll|ve|re)| ?(?:\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+))|\s+(?!\S)|\s"
SEAM = re.compile(r"(?<=\S\n)(?=\S)")
UNKNOWN_LETTER = "\ufffd".encode()


class CorpusSpec(Section):
    """What tokens a text is cut into."""

    tokenizer: Literal["bpe", "characters"]
    vocabulary: Annotated[int, Field(ge=2)]  # at most so many different tokens
    normalisation: Literal["none", "nfc", "nfkc"]  # of Unicode


class ByteTokenizer:
    """A tokenizer that was fitted to `spec`."""

    def __init__(self, tokenizer: Tokenizer, spec: CorpusSpec) -> None:
        self.spec = spec
        self._tokenizer, self._bytewise = tokenizer, spec.tokenizer == "bpe"
        self._tokenizer.encode_special_tokens = True  # a text may hold the word for padding
        self.size = tokenizer.get_vocab_size()
        number = tokenizer.get_vocab()
        letters = {letter: bytes([byte]) for byte, letter in enumerate(_byte_letters())}
        missing = letters.keys() - number.keys() if self._bytewise else {UNKNOWN} - number.keys()
        strange = self._bytewise and any(set(piece) - letters.keys() for piece in number if piece != PADDING)
        if missing or strange or number.get(PADDING) != START or sorted(number.values()) != list(range(self.size)):
            raise UserError("tokenizer.json: is not one of a language model; `dvc repro` makes it anew")
        if self._bytewise:
            self.spelt = [b""] * self.size
            for piece, i in number.items():
                self.spelt[i] = b"" if piece == PADDING else b"".join(letters[letter] for letter in piece)
            ranks = {spelt: i for i, spelt in enumerate(self.spelt) if i != START}
            self._joins = tiktoken.Encoding("bpe", pat_str=WORD, mergeable_ranks=ranks, special_tokens={})
            return
        self.spelt = [b"", UNKNOWN_LETTER] + [b""] * (self.size - 2)
        self._numbers = np.full(0x110000, number[UNKNOWN], np.int32)
        for piece, i in number.items():
            if len(piece) == 1:
                self._numbers[ord(piece)] = i
                self.spelt[i] = piece.encode()

    def encode(self, pieces: Iterable[str]) -> Iterator[Int32[np.ndarray, " t"]]:
        """The token numbers of each piece, a few pieces in memory at a time."""
        if not self._bytewise:
            for piece in pieces:
                normal = self._tokenizer.normalizer.normalize_str(piece)
                yield self._numbers[np.frombuffer(normal.encode("utf-32-le"), "<u4")]
            return
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting: deque[Future[Int32[np.ndarray, " t"]]] = deque()
            for piece in pieces:
                waiting.append(pool.submit(self._joined, piece))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            for last in waiting:
                yield last.result()

    def _joined(self, piece: str) -> Int32[np.ndarray, " t"]:
        """By `tiktoken`, which comes to the tokens of `tokenizers` in half the time, and on every core."""
        normal = self._tokenizer.normalizer.normalize_str(piece)
        try:
            return self._joins.encode_to_numpy(normal, disallowed_special=()).view(np.int32)
        except ValueError:  # a million blanks in a row are too many for its WORD
            return np.asarray(self._tokenizer.encode(piece, add_special_tokens=False).ids, np.int32)

    def numbers(self, text: str) -> Int32[np.ndarray, " t"]:
        """The token numbers of a whole text."""
        return np.concatenate([np.zeros(0, np.int32), *self.encode(cut(text))])

    def letters(self, tokens: Iterable[int]) -> Iterator[str]:
        """What each token adds to a text: a letter of several bytes comes with the last of them."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            yield decoder.decode(self.spelt[token])


def cut(text: str) -> Iterator[str]:
    """The text in pieces of about PIECE characters: each ends at the first fitting end of a line."""
    start = 0
    while len(text) - start > PIECE:
        seam = SEAM.search(text, start + PIECE)
        end = seam.start() if seam else len(text)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _byte_letters() -> list[str]:
    """The letter that stands for each byte: itself where it can be seen, else one past 255 (Radford et al. 2019)."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in seen]
    place = {byte: 256 + i for i, byte in enumerate(hidden)}
    return [chr(place.get(byte, byte)) for byte in range(256)]
