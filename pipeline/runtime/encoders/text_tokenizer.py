"""Texts -> numbers of tokens, by a tokenizer that is fitted on training texts; the same code in preprocess and in use.

Four kinds, all of Hugging Face's `tokenizers`: `bpe` joins the most frequent pairs of bytes (Sennrich et al. 2016,
arXiv:1508.07909; on bytes: Radford et al. 2019) and knows no unknown token; `wordpiece` is BERT's (arXiv:1810.04805);
`words` and `characters` number the most frequent of those. Token 0 is padding.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Protocol

import numpy as np
from jaxtyping import Int32
from pydantic import Field, PositiveInt
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.config.section import Section
from pipeline.runtime.errors import UserError

PADDING, UNKNOWN = "[PAD]", "[UNK]"
BYTES = 256
BLOCK = 1_000  # texts tokenized together


class Spec(Protocol):
    """What a tokenizer is fitted to."""

    @property
    def tokenizer(self) -> str: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def normalisation(self) -> str: ...


class TextSpec(Section):
    """How a text is cut into tokens."""

    tokenizer: Literal["bpe", "wordpiece", "words", "characters"]
    vocabulary: Annotated[int, Field(ge=2)]  # at most so many different tokens
    normalisation: Literal["none", "nfc", "nfkc"]  # of Unicode
    lowercase: bool
    max_length: PositiveInt  # in tokens
    keep: Literal["start", "ends"]  # of a longer text: its start; or three quarters of that, and the rest from its end


def fit(texts: Iterable[str], spec: Spec) -> Tokenizer:
    """A tokenizer with the tokens of `texts`: equal texts give an equal tokenizer."""
    if spec.tokenizer == "bpe":
        if spec.vocabulary <= BYTES:
            raise UserError(f"datasets.*.preprocessing.vocabulary: bpe starts from {BYTES} bytes and padding: raise it")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=spec.vocabulary,
            special_tokens=[PADDING],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    elif spec.tokenizer == "wordpiece":
        tokenizer, trainer = Tokenizer(models.WordPiece(unk_token=UNKNOWN)), None
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
    else:
        tokenizer, trainer = Tokenizer(models.WordLevel(unk_token=UNKNOWN)), None
        whole = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.pre_tokenizer = whole if spec.tokenizer == "characters" else pre_tokenizers.Whitespace()
        if spec.tokenizer == "characters":
            tokenizer.decoder = decoders.Fuse()  # else it puts a blank between them
    steps: list[normalizers.Normalizer] = {"none": [], "nfc": [normalizers.NFC()], "nfkc": [normalizers.NFKC()]}[
        spec.normalisation
    ]
    tokenizer.normalizer = normalizers.Sequence(
        [*steps, *([normalizers.Lowercase()] if getattr(spec, "lowercase", False) else [])]
    )
    if trainer is not None:
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
    if spec.tokenizer == "wordpiece":
        tokenizer.model = _wordpiece(tokenizer, list(texts), spec.vocabulary)
        if (size := tokenizer.get_vocab_size()) > spec.vocabulary:  # it has one for each character, come what may
            raise UserError(f"datasets.*.preprocessing.vocabulary: wordpiece takes at least {size:,} here: raise it")
        return tokenizer
    counts: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        whole = spec.tokenizer == "words"
        counts.update((piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)) if whole else normal)
    kept = sorted(counts, key=lambda piece: (-counts[piece], piece))[: spec.vocabulary - 2]
    tokenizer.model = models.WordLevel({piece: i for i, piece in enumerate([PADDING, UNKNOWN, *kept])}, UNKNOWN)
    return tokenizer


def _wordpiece(tokenizer: Tokenizer, texts: list[str], vocabulary: int) -> models.WordPiece:
    """The library's trainer numbers the letters within words in an order that differs from run to run, and ties are
    broken by number. So they are numbered here before it starts, as if they were special tokens.
    """
    letters: set[str] = set()
    for text in texts:
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            letters.update(piece[1:])
    first = [PADDING, UNKNOWN, *(f"##{letter}" for letter in sorted(letters))]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=first, show_progress=False)
    trained = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    trained.normalizer, trained.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    trained.train_from_iterator(texts, trainer)
    return models.WordPiece(trained.get_vocab(), unk_token=UNKNOWN)


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Int32[np.ndarray, " t"]]:
    """The token numbers of each text, in full length, a few texts in memory at a time."""
    texts = iter(texts)
    while block := list(islice(texts, BLOCK)):
        for encoding in tokenizer.encode_batch_fast(block, add_special_tokens=False):
            yield np.asarray(encoding.ids, np.int32)


def truncate(tokens: Int32[np.ndarray, " t"], spec: TextSpec) -> Int32[np.ndarray, " s"]:
    """At most `max_length` of the tokens.

    The end of a text tells more than its middle (Sun et al. 2019, arXiv:1905.05583, table 2): `ends` keeps some of it.
    """
    if len(tokens) <= spec.max_length or spec.keep == "start":
        return tokens[: spec.max_length]
    end = spec.max_length // 4
    return np.concatenate([tokens[: spec.max_length - end], tokens[len(tokens) - end :]])


def load(path: Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json. Raises UserError where it is missing or damaged."""
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises a bare Exception
        raise UserError(f"{path}: not a tokenizer ({error}); `dvc repro` makes it anew") from error


def save(tokenizer: Tokenizer, path: Path) -> None:
    path.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")


def readable(text: str, name: str) -> str:
    """The text itself. Raises UserError where it holds half a surrogate pair, which no file could."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name}: not valid text at character {error.start + 1}: save it as UTF-8") from error
    return text


def pieces(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[str]:
    """What each token adds to the text that is read: a letter of several bytes comes with the last of them."""
    stream = decoders.DecodeStream(skip_special_tokens=False)
    return [stream.step(tokenizer, token) or "" for token in tokens]
