"""Spans are those of seqeval."""

from typing import Any, cast

import numpy as np
import pytest
from seqeval import scheme as seqeval_schemes
from seqeval.metrics import sequence_labeling

from pipeline.evaluation import spans
from pipeline.runtime.tag_grammar import Grammar, Scheme

LETTERS: dict[str, tuple[str, Scheme]] = {
    "IOB1": ("BI", "IOB1"),
    "IOB2": ("BI", "IOB2"),
    "IOBES": ("BIES", "BIOES"),
    "BILOU": ("BILU", "BIOES"),
}


def tags_of(letters: str) -> list[str]:
    return ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC", "A-B"))]


def random_tags(seed: int, letters: str) -> tuple[list[list[str]], list[list[str]]]:
    """True and predicted tags of 12 sentences, often equal, whether the scheme allows them or not."""
    random, tags = np.random.default_rng(seed), tags_of(letters)
    actual = [random.choice(tags, random.integers(1, 12)).tolist() for _ in range(12)]
    predicted = [[tag if random.random() < 0.6 else str(random.choice(tags)) for tag in row] for row in actual]
    actual[0][0] = predicted[0][0] = "B-PER"  # seqeval warns where there is no span at all
    return actual, predicted


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("letters", ["BI", "BIES"])
def test_scores_are_those_of_seqeval(letters, seed):
    """On any sequence of tags, well-formed or not, in all and by type."""
    actual, predicted = random_tags(seed, letters)
    scores, table = spans.scores(actual, predicted), spans.by_type(actual, predicted)
    for average in ("micro", None):  # in all, by type
        theirs: Any = sequence_labeling.precision_recall_fscore_support(
            actual, predicted, average=average, zero_division=cast("Any", 0)
        )
        for name, values in zip(("precision", "recall", "f1", "spans"), theirs):
            mine = scores[name] if average else table[name].to_numpy()
            np.testing.assert_allclose(mine, values, rtol=1e-12, err_msg=name)
    kinds = {span.kind for row in (*actual, *predicted) for span in spans.spans(row)}
    assert table["type"].tolist() == sorted(kinds)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", LETTERS)
def test_spans_of_well_formed_tags_are_those_of_strict_seqeval(name, seed):
    """In each scheme: where no rule is broken, there is only one way to read the tags."""
    letters, scheme = LETTERS[name]
    tags, random = tags_of(letters), np.random.default_rng(seed)
    grammar = Grammar.of(tags, scheme)
    for _ in range(20):
        probabilities = random.dirichlet(np.full(len(tags), 0.3), random.integers(1, 12))
        row = [tags[i] for i in grammar.decode(probabilities)]
        entities = seqeval_schemes.Tokens(row, getattr(seqeval_schemes, name)).entities
        assert list(spans.spans(row)) == [(entity.tag, entity.start, entity.end) for entity in entities]


def test_bilou_is_bioes_in_other_letters():
    bioes = ["B-X", "I-X", "E-X", "S-X", "O", "S-Y", "E-X", "I-X"]
    assert list(spans.spans(bioes)) == list(spans.spans([tag.translate({69: "L", 83: "U"}) for tag in bioes]))


def test_the_table_by_type():
    actual = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "B-PER"]]
    table = spans.by_type(actual, predicted)
    assert list(table.columns) == ["type", "precision", "recall", "f1", "spans"]
    assert table.to_numpy().tolist() == [["LOC", 0, 0, 0, 1], ["ORG", 0, 0, 0, 0], ["PER", 0.5, 0.5, 0.5, 2]]
    nothing = spans.by_type([["O"]], [["O"]])
    assert list(nothing.columns) == list(table.columns)
    assert nothing.empty


def test_tags_of_no_scheme_are_outside():
    assert list(spans.spans(["NN", "B-X", "I-X", "odd", "I-X", "O"])) == [("X", 1, 3), ("X", 4, 5)]


def test_a_span_ends_with_its_sentence():
    actual, predicted = ["B-X", "I-X", "I-X", "O"], ["B-X", "I-X", "I-X", "B-X"]
    parts = [[tags[:2], tags[2:]] for tags in (actual, predicted)]
    assert spans.scores(*parts) == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "spans": 2.0}
    assert spans.scores([actual], [predicted])["spans"] == 1.0
