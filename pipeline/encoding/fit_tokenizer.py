"""Training texts -> a tokenizer. Equal texts give an equal tokenizer.

Four kinds, all of Hugging Face's `tokenizers`: `bpe` merges the most frequent pairs of bytes (Sennrich et al. 2016,
arXiv:1508.07909; on bytes: Radford et al. 2019) and has no unknown token; `wordpiece` is BERT's (arXiv:1810.04805);
`words` and `characters` number the most frequent of those.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.runtime.encoders.specs import CorpusSpec, TextSpec
from pipeline.runtime.encoders.text_tokenizer import PADDING, UNKNOWN
from pipeline.runtime.errors import UserError

BYTES = 256


class VocabularyTooSmall(UserError):
    """The setting `vocabulary` leaves no room for the tokens that a tokenizer cannot do without."""


def fit(texts: Iterable[str], spec: TextSpec | CorpusSpec) -> Tokenizer:
    """A tokenizer with the tokens of `texts`. Raises VocabularyTooSmall."""
    if spec.tokenizer == "bpe":
        return _fit_bpe(texts, spec)
    if spec.tokenizer == "wordpiece":
        return _fit_wordpiece(texts, spec)
    return _fit_pieces(texts, spec)


def save(tokenizer: Tokenizer, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")


def _fit_bpe(texts: Iterable[str], spec: TextSpec | CorpusSpec) -> Tokenizer:
    if spec.vocabulary <= BYTES:
        raise VocabularyTooSmall(f"bpe needs a token for each of {BYTES} bytes, and padding: raise it")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer(spec)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocabulary,
        special_tokens=[PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _fit_wordpiece(texts: Iterable[str], spec: TextSpec | CorpusSpec) -> Tokenizer:
    """The library's trainer numbers the characters within words in an order that differs from run to run, and breaks
    ties by number. So they are numbered here first, as if they were special tokens.
    """
    texts = list(texts)
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = _normalizer(spec)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    characters: set[str] = set()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            characters.update(word[1:])
    first = [PADDING, UNKNOWN, *(f"##{character}" for character in sorted(characters))]
    trainer = trainers.WordPieceTrainer(vocab_size=spec.vocabulary, special_tokens=first, show_progress=False)
    trained = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    trained.normalizer, trained.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    trained.train_from_iterator(texts, trainer)
    tokenizer.model = models.WordPiece(trained.get_vocab(), unk_token=UNKNOWN)  # without the special tokens
    if (size := tokenizer.get_vocab_size()) > spec.vocabulary:  # there is a token for each character in any case
        raise VocabularyTooSmall(f"wordpiece needs at least {size:,} tokens for these texts: raise it")
    return tokenizer


def _fit_pieces(texts: Iterable[str], spec: TextSpec | CorpusSpec) -> Tokenizer:
    """The most frequent words or characters; ties in the order of the alphabet."""
    words = spec.tokenizer == "words"
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = _normalizer(spec)
    each_character = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace() if words else each_character
    if not words:
        tokenizer.decoder = decoders.Fuse()  # else it puts a blank between characters
    counts: Counter[str] = Counter()
    for text in texts:
        normalised = tokenizer.normalizer.normalize_str(text)
        counts.update(
            (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalised)) if words else normalised
        )
    kept = sorted(counts, key=lambda piece: (-counts[piece], piece))[: spec.vocabulary - 2]
    tokenizer.model = models.WordLevel({piece: i for i, piece in enumerate([PADDING, UNKNOWN, *kept])}, UNKNOWN)
    return tokenizer


def _normalizer(spec: TextSpec | CorpusSpec) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = {"none": [], "nfc": [normalizers.NFC()], "nfkc": [normalizers.NFKC()]}[
        spec.normalisation
    ]
    lowercase = isinstance(spec, TextSpec) and spec.lowercase
    return normalizers.Sequence([*steps, *([normalizers.Lowercase()] if lowercase else [])])
