"""The tags of sentences, counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable


def different(sentences: Iterable[list[str]]) -> set[str]:
    return {tag for tags in sentences for tag in tags}


def most_frequent(sentences: Iterable[list[str]], labels: Iterable[list[str]]) -> dict[str, str]:
    """The most frequent tag of each word; the first in the alphabet of several."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(sentences, labels):
        for word, tag in zip(words, tags):
            counts[word][tag] += 1
    return {word: min(tags, key=lambda tag: (-tags[tag], tag)) for word, tags in counts.items()}
