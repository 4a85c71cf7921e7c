"""Spans are those of seqeval."""

import numpy as np
import pytest
import seqeval.metrics

from pipeline.evaluation import metrics, spans

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_seqeval(seed):
    """On any sequence of tags, well-formed or not."""
    random = np.random.default_rng(seed)
    actual, predicted = ([random.choice(TAGS, random.integers(1, 12)).tolist() for _ in range(8)] for _ in range(2))
    predicted = [(guess * 12)[: len(sentence)] for sentence, guess in zip(actual, predicted)]
    actual[0][0] = predicted[0][0] = "B-PER"  # seqeval warns where there is no span at all
    scores = spans.scores(actual, predicted)
    assert scores["precision"] == pytest.approx(seqeval.metrics.precision_score(actual, predicted))
    assert scores["recall"] == pytest.approx(seqeval.metrics.recall_score(actual, predicted))
    assert scores["f1"] == pytest.approx(seqeval.metrics.f1_score(actual, predicted))


def test_which_tags_are_spans():
    assert spans.are_iob2(["B-X", "I-X", "O"])
    assert not spans.are_iob2(["NN", "VB"])
    assert not spans.are_iob2(["O", "I-X"])
    assert not spans.are_iob2(["B-X", "O", "E-X"])


def test_a_span_ends_with_its_sentence():
    labels = ("B-X", "I-X", "O")
    targets = np.array([0, 1, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    scores = metrics.tagging(probabilities, targets, np.array([0, 2, 4]), np.zeros(4, int), labels)["spans"]
    assert scores == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "spans": 2.0}
    assert metrics.tagging(probabilities, targets, np.array([0, 4]), np.zeros(4, int), labels)["spans"]["spans"] == 1.0
