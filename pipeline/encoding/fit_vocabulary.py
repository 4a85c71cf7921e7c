"""Training sentences -> the words and characters that have an id."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.runtime import strict_json
from pipeline.runtime.encoders.specs import WordSpec
from pipeline.runtime.encoders.word_vocabulary import Vocabulary, normalise


def fit(sentences: Iterable[Sequence[str]], spec: WordSpec) -> Vocabulary:
    """The most frequent words of the sentences, and all their characters; ties in the order of the alphabet."""
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for sentence in sentences:
        words.update(normalise(word, spec) for word in sentence)
        for word in sentence:
            characters.update(word)
    return Vocabulary(_by_frequency(words)[: spec.vocabulary], _by_frequency(characters), spec)


def save(vocabulary: Vocabulary, path: Path) -> None:
    strict_json.write(path, {"words": vocabulary.words, "characters": vocabulary.characters})


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
