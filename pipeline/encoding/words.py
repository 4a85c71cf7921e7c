"""Tables of sentences -> numbers of words and characters, end to end, and the vocabulary."""

from typing import Any

import numpy as np

from pipeline.config import paths
from pipeline.config.preprocessing import WordPreprocessing
from pipeline.encoding import fit_vocabulary, tables
from pipeline.examples.inputs import Sentences
from pipeline.runtime.encoders import word_vocabulary
from pipeline.runtime.encoders.word_vocabulary import Vocabulary


def write(settings: WordPreprocessing) -> tuple[Sentences, dict[str, Any], str]:
    """Writes the vocabulary and the arrays of every split; returns what was learnt of the sentences, figures for the
    report, and a summary.
    """
    vocabulary = fit_vocabulary.fit(tables.column("train", "words"), settings.spec)
    fit_vocabulary.save(vocabulary, paths.VOCABULARY)
    report = {split: write_split(split, vocabulary) for split in tables.splits()}
    inputs = Sentences(
        settings=settings,
        vocabulary=word_vocabulary.FIRST + len(vocabulary.words),
        alphabet=word_vocabulary.FIRST + len(vocabulary.characters),
    )
    return inputs, report, f"{inputs.vocabulary:,} words and {inputs.alphabet:,} characters have ids"


def write_split(split: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Writes a split's arrays; returns figures for the report. A sentence that is too long becomes several
    examples: `starts` says where each begins, `sentences` where the whole sentences do.
    """
    longest = vocabulary.spec.max_length
    word_type = tables.smallest(vocabulary.spec.vocabulary + word_vocabulary.FIRST)
    character_type = tables.smallest(len(vocabulary.characters) + word_vocabulary.FIRST)
    words, characters = tables.Concatenation(word_type), tables.Concatenation(character_type)
    parts, ids = [], []
    rows = zip(tables.column(split, "words"), tables.column(split, "id"))
    for sentence, example_id in tables.progress(rows, split):
        encoded = vocabulary.encode(sentence)
        words.add(encoded.words)
        characters.add(encoded.characters)
        own = [min(longest, len(sentence) - start) for start in range(0, len(sentence), longest)]
        parts += own
        ids += [example_id] * len(own)
    tables.save(
        split,
        words=words.whole,
        characters=characters.whole,
        starts=tables.starts(parts),
        sentences=tables.starts(words.sizes),
        ids=np.array(ids, "S32"),
    )
    sizes = np.array(words.sizes)
    return {"words": tables.spread(sizes), "cut": int((sizes > longest).sum())}
