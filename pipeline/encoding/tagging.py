"""Tables of tagged sentences -> numbers of words and characters, end to end, and the vocabulary."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from pipeline.config import paths
from pipeline.config.preprocessing import WordPreprocessing
from pipeline.encoding import fit_vocabulary, tables
from pipeline.runtime.encoders import word_vocabulary
from pipeline.runtime.encoders.word_vocabulary import Vocabulary
from pipeline.tasks import SequenceTagging


def write(settings: WordPreprocessing) -> tuple[SequenceTagging, dict[str, Any]]:
    """Writes the vocabulary and the arrays of every split; returns the facts of the task, and figures for the report.

    The labels are the training split's tags: nothing that training reads depends on the other splits.
    """
    spec = settings.spec
    labels = tuple(sorted(tags_of("train")))
    vocabulary = fit_vocabulary.fit(tables.column("train", "words"), spec)
    fit_vocabulary.save(vocabulary, paths.VOCABULARY)
    baseline = most_frequent_tags()
    counts, report = np.zeros(len(labels), int), {}
    for split in tables.splits():
        unseen = tuple(sorted(tags_of(split) - set(labels)))
        targets = write_split(split, vocabulary, labels, unseen, baseline)
        if split == "train":
            counts = np.bincount(targets, minlength=len(labels))
        sizes = np.array([len(row) for row in tables.column(split, "label")])
        report[split] = {
            "words": tables.spread(sizes),
            "cut": int((sizes > spec.max_length).sum()),
            "unseen_tags": {tag: int((targets == i).sum()) for i, tag in enumerate(unseen, start=len(labels))},
        }
    task = SequenceTagging(
        name="sequence-tagging",
        words=settings,
        vocabulary=word_vocabulary.FIRST + len(vocabulary.words),
        alphabet=word_vocabulary.FIRST + len(vocabulary.characters),
        labels=labels,
        counts=tuple(counts.tolist()),
    )
    return task, report


def write_split(
    split: str, vocabulary: Vocabulary, labels: tuple[str, ...], unseen: tuple[str, ...], baseline: dict[str, str]
) -> np.ndarray:
    """Writes a split's arrays; returns its targets. `unseen_tags.npy` names the tags that training lacks, numbered from
    `len(labels)` on; `baseline.npy` has each word's most frequent tag in training, -1 for a word that training lacks.
    """
    spec = vocabulary.spec
    numbers = {tag: i for i, tag in enumerate((*labels, *unseen))}
    words, characters, targets, guesses, sizes, ids = [], [], [], [], [], []
    rows = zip(tables.column(split, "words"), tables.column(split, "label"), tables.column(split, "id"))
    for sentence, tags, example_id in tables.progress(rows, split):
        encoded = vocabulary.encode(sentence)
        words.append(encoded.words.astype(tables.smallest(spec.vocabulary + word_vocabulary.FIRST)))
        characters.append(
            encoded.characters.astype(tables.smallest(len(vocabulary.characters) + word_vocabulary.FIRST))
        )
        targets += [numbers[tag] for tag in tags]
        guesses += [numbers[baseline[word]] if word in baseline else -1 for word in sentence]
        parts = [min(spec.max_length, len(tags) - start) for start in range(0, len(tags), spec.max_length)]
        sizes += parts
        ids += [example_id] * len(parts)
    tables.save(
        split,
        words=np.concatenate(words),
        characters=np.concatenate(characters),
        targets=(array := np.array(targets, np.int32)),
        baseline=np.array(guesses, np.int32),
        starts=tables.starts(sizes),
        ids=np.array(ids, "S32"),
        unseen_tags=np.array(unseen, str),
    )
    return array


def tags_of(split: str) -> set[str]:
    return {tag for row in tables.column(split, "label") for tag in row}


def most_frequent_tags() -> dict[str, str]:
    """The most frequent tag of each word of the training split; the first in the alphabet of several."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence, tags in zip(tables.column("train", "words"), tables.column("train", "label")):
        for word, tag in zip(sentence, tags):
            counts[word][tag] += 1
    return {word: min(tags, key=lambda tag: (-tags[tag], tag)) for word, tags in counts.items()}
