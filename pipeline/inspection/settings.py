"""Settings of preprocessing that fit the examples: only those that differ from the defaults."""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from pipeline.config.preprocessing import CorpusPreprocessing, ImagePreprocessing, TextPreprocessing, WordPreprocessing
from pipeline.config.section import Section
from pipeline.inspection.sample import Observation

LARGEST_SIDE, LEAST_SIDE = 96, 4  # pixels: larger pictures are scaled down; more costs time, and rarely helps
LENGTHS = (32, 1_200)  # tokens
TOKENS_PER_WORD = 1.5  # of bpe, generously
SPACELESS = 15  # characters a word, on average: more are in scripts that put no spaces between words
CHARACTERS_PER_TOKEN = 100  # of the data: a token should occur some 25 times to be learnt
VOCABULARY = 400  # tokens, at least: bpe has one for each of 256 bytes


def fitting(kind: type[Section], seen: Sequence[Observation]) -> dict[str, Any]:
    """The settings of this kind for these examples, without those that are the defaults."""
    wanted = RULES[kind](seen)
    return {key: value for key, value in wanted.items() if value != kind.model_fields[key].default}


def _images(seen: Sequence[Observation]) -> dict[str, Any]:
    """The median size, scaled down to LARGEST_SIDE, in multiples of 4, because networks halve it twice. Pictures of one
    size are not padded.
    """
    pictures = [one.picture for one in seen if one.picture]
    width, height = (median(sides) for sides in zip(*((p.width, p.height) for p in pictures)))
    scale = min(1.0, LARGEST_SIDE / max(width, height))
    settings: dict[str, Any] = {
        "height": _multiple(height * scale),
        "width": _multiple(width * scale),
        "colour": "grey" if all(p.is_grey is not False for p in pictures) else "rgb",
        "resize": "exact" if len({(p.width, p.height) for p in pictures}) == 1 else "pad",
    }
    return settings | ({"background": "edge"} if any(p.is_transparent for p in pictures) else {})


def _multiple(pixels: float) -> int:
    return max(LEAST_SIDE, 4 * round(pixels / 4))


def _texts(seen: Sequence[Observation]) -> dict[str, Any]:
    """All tokens of 95 texts in 100."""
    spaceless = sum(one.characters for one in seen) > SPACELESS * sum(one.words for one in seen)
    lengths = sorted(one.characters if spaceless else TOKENS_PER_WORD * one.words for one in seen)
    needed = 8 * math.ceil(lengths[int(0.95 * (len(lengths) - 1))] / 8)
    return {"max_length": min(max(needed, LENGTHS[0]), LENGTHS[1]), **_vocabulary(TextPreprocessing, seen)}


def _corpus(seen: Sequence[Observation]) -> dict[str, Any]:
    return _vocabulary(CorpusPreprocessing, seen)


def _vocabulary(kind: type[Section], seen: Sequence[Observation]) -> dict[str, Any]:
    """The default, or less for a small amount of text: a token for every CHARACTERS_PER_TOKEN."""
    affordable = sum(one.characters for one in seen) // CHARACTERS_PER_TOKEN // 100 * 100
    return {"vocabulary": max(VOCABULARY, min(kind.model_fields["vocabulary"].default, affordable))}


def _words(seen: Sequence[Observation]) -> dict[str, Any]:
    """The defaults: a vocabulary takes no more words than there are, and longer sentences are cut into several."""
    return {}


RULES: dict[type[Section], Callable[[Sequence[Observation]], dict[str, Any]]] = {
    ImagePreprocessing: _images,
    TextPreprocessing: _texts,
    CorpusPreprocessing: _corpus,
    WordPreprocessing: _words,
}
