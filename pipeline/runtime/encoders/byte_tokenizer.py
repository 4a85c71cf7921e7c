"""Texts <-> token ids without loss, for language models. Preprocessing and packages run this same code.

A text of any size is tokenized in parts, split only where no token could span the split. Token 0, which stands for no
character, marks the beginning of a document.
"""

import codecs
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Int32
from tokenizers import Tokenizer

from ..errors import UserError
from .specs import CorpusSpec
from .text_tokenizer import PADDING, UNKNOWN

START = 0
PART = 1 << 16  # characters of a text that are tokenized together, about
AHEAD = 64  # parts read before the first one is done, so that all cores have work
# Byte pairs are merged within a word only; this is how `tokenizers` splits words. The part in brackets needs no
# lookahead, so an automaton can match it.
WORD = r"(?:'(?:[sdmt]|ll|ve|re)| ?(?:\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+))|\s+(?!\S)|\s"
LINE_END = re.compile(r"(?<=\S\n)(?=\S)")
UNKNOWN_BYTES = "\ufffd".encode()


class ByteTokenizer:
    """A tokenizer that was fitted to `spec`. Raises UserError for one that is not a language model's."""

    def __init__(self, tokenizer: Tokenizer, spec: CorpusSpec) -> None:
        self.spec = spec
        self._tokenizer, self._is_bpe = tokenizer, spec.tokenizer == "bpe"
        self._tokenizer.encode_special_tokens = True  # a text may contain the padding token's name
        self.size = tokenizer.get_vocab_size()
        ids = tokenizer.get_vocab()
        byte_of = {letter: bytes([byte]) for byte, letter in enumerate(_byte_letters())}
        missing = byte_of.keys() - ids.keys() if self._is_bpe else {UNKNOWN} - ids.keys()
        strange = self._is_bpe and any(set(token) - byte_of.keys() for token in ids if token != PADDING)
        if missing or strange or ids.get(PADDING) != START or sorted(ids.values()) != list(range(self.size)):
            raise UserError("tokenizer.json: not the tokenizer of a language model; `dvc repro` writes it again")
        if self._is_bpe:
            import tiktoken  # it loads slowly, and only here is it needed

            self.token_bytes = [b""] * self.size
            for token, i in ids.items():
                self.token_bytes[i] = b"" if token == PADDING else b"".join(byte_of[letter] for letter in token)
            ranks = {content: i for i, content in enumerate(self.token_bytes) if i != START}
            self._bpe = tiktoken.Encoding("bpe", pat_str=WORD, mergeable_ranks=ranks, special_tokens={})
            return
        self.token_bytes = [b"", UNKNOWN_BYTES] + [b""] * (self.size - 2)
        self._character_ids = np.full(0x110000, ids[UNKNOWN], np.int32)
        for token, i in ids.items():
            if len(token) == 1:
                self._character_ids[ord(token)] = i
                self.token_bytes[i] = token.encode()

    def encode(self, text: str) -> Int32[np.ndarray, " t"]:
        """The token ids of a text."""
        return np.concatenate([np.zeros(0, np.int32), *self.encode_parts(text_parts(text))])

    def encode_parts(self, parts: Iterable[str]) -> Iterator[Int32[np.ndarray, " t"]]:
        """The token ids of each part of a text, on all cores. Only a few parts are in memory at a time."""
        if not self._is_bpe:
            for part in parts:
                normalised = self._tokenizer.normalizer.normalize_str(part)
                yield self._character_ids[np.frombuffer(normalised.encode("utf-32-le"), "<u4")]
            return
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting: deque[Future[Int32[np.ndarray, " t"]]] = deque()
            for part in parts:
                waiting.append(pool.submit(self._merge_bytes, part))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            for last in waiting:
                yield last.result()

    def _merge_bytes(self, part: str) -> Int32[np.ndarray, " t"]:
        """By `tiktoken`, which gives the tokens of `tokenizers` in half the time, and on every core."""
        normalised = self._tokenizer.normalizer.normalize_str(part)
        try:
            return self._bpe.encode_to_numpy(normalised, disallowed_special=()).view(np.int32)
        except ValueError:  # a million blanks in a row are too many for WORD
            return np.asarray(self._tokenizer.encode(part, add_special_tokens=False).ids, np.int32)

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text that each token adds. A character of several tokens belongs to the last of them."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            yield decoder.decode(self.token_bytes[token])


def text_parts(text: str) -> Iterator[str]:
    """The text in parts of about PART characters, each of which ends at the first suitable end of a line."""
    start = 0
    while len(text) - start > PART:
        line_end = LINE_END.search(text, start + PART)
        end = line_end.start() if line_end else len(text)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _byte_letters() -> list[str]:
    """The letter that stands for each byte: its own if it is visible, else one beyond 255 (Radford et al. 2019)."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    code = {byte: 256 + i for i, byte in enumerate(hidden)}
    return [chr(code.get(byte, byte)) for byte in range(256)]
