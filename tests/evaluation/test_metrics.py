"""Metrics by hand, and as the libraries have them."""

import numpy as np
import pytest
import scipy.stats

from pipeline.evaluation import metrics


def hits(correct: int, total: int) -> np.ndarray:
    return np.arange(total) < correct


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 2), (9_072, 10_000)])
def test_the_interval_is_wilsons(correct, total):
    low, high = metrics.interval(hits(correct, total))
    expected = scipy.stats.binomtest(correct, total).proportion_ci(method="wilson")
    assert (low, high) == (expected.low, expected.high) == pytest.approx(metrics.wilson(correct / total, float(total)))
    assert 0 <= low < high <= 1
    assert low <= correct / total <= high


@pytest.mark.parametrize("correct", [0, 100])
def test_an_interval_of_groups_that_are_all_right_or_all_wrong(correct):
    """As if each group were one example."""
    low, high = metrics.interval_of_groups(hits(correct, 100), np.arange(0, 101, 10))
    assert (low, high) == pytest.approx(metrics.interval(hits(correct // 10, 10)))
    assert metrics.interval_of_groups(hits(correct, 100), np.array([0, 100])) == pytest.approx(
        metrics.interval(hits(correct // 100, 1))
    )


def test_groups_of_one_are_independent_examples():
    low, high = metrics.interval_of_groups(hits(900, 1_000), np.arange(1_001))
    assert (low, high) == pytest.approx(metrics.interval(hits(900, 1_000)), abs=2e-4)


def test_errors_that_cluster_widen_the_interval():
    clustered = np.repeat(np.arange(100) % 5 > 0, 10)
    low, high = metrics.interval_of_groups(clustered, np.arange(0, 1_001, 10))
    alone = metrics.interval(clustered)
    assert low < alone[0] < clustered.mean() < alone[1] < high
    assert (low, high) == pytest.approx(metrics.interval(np.arange(100) % 5 > 0), abs=0.002)  # 100 independent ones


def test_an_empty_group_changes_nothing():
    some = np.random.default_rng(0).random(60) < 0.8
    starts = np.arange(0, 61, 6)
    with_empty = np.array([0, 0, *starts[1:4], starts[4], starts[4], *starts[5:], 60])
    assert metrics.interval_of_groups(some, with_empty) == pytest.approx(metrics.interval_of_groups(some, starts))


@pytest.mark.parametrize(("share", "alike"), [(0.9, 0.2), (0.98, 0.1), (0.7, 0.5)])
def test_the_interval_of_groups_covers_the_truth(share, alike):
    """In 95 of 100 test sets, of 60 sentences whose words are right together."""
    random = np.random.default_rng(0)
    strength = 1 / alike - 1
    covered = 0
    for _ in range(1_000):
        own = random.beta(share * strength, (1 - share) * strength, 60)
        sizes = random.integers(5, 30, 60)
        right = random.random(sizes.sum()) < np.repeat(own, sizes)
        low, high = metrics.interval_of_groups(right, np.cumsum([0, *sizes]))
        covered += low <= share <= high
    assert 920 <= covered <= 985


def test_tagging_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    targets, starts, baseline = np.array([0, 1, 1, 0]), np.array([0, 2, 4]), np.array([0, -1, -1, 0])
    results = metrics.tagging(probabilities, probabilities.argmax(-1), targets, starts, baseline)
    assert results["accuracy"] == 0.75
    assert results["unseen"] == {"words": 2, "accuracy": 0.5}
    assert results["loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.5]).mean())
    assert results["words_with_unseen_tags"] == 0
    assert "spans" not in results
    seen = metrics.tagging(probabilities, probabilities.argmax(-1), targets, starts, np.zeros(4, int))
    assert seen["unseen"] == {"words": 0}  # and no accuracy, which is not defined


def test_a_tag_that_training_lacks_is_an_error():
    """It counts in the accuracy, the spans, the table and the plot, and has no part in the loss."""
    labels = ("B-X", "I-X", "O", "B-NEW", "I-NEW")
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]])
    targets, starts = np.array([0, 1, 3, 4]), np.array([0, 2, 4])
    results = metrics.tagging(probabilities, probabilities.argmax(-1), targets, starts, np.zeros(4, int))
    assert results["accuracy"] == 0.5
    assert results["loss"] == pytest.approx(-np.log([0.8, 0.7]).mean())
    assert results["words_with_unseen_tags"] == 2
    rows = metrics.per_class(probabilities.argmax(-1), targets, labels).set_index("label")
    assert rows.loc["B-NEW"].tolist() == [0.0, 0.0, 0.0, 1.0]
    guesses = probabilities.argmax(-1)
    classes = metrics.most_confused(targets, guesses, classes=5, shown=4)
    assert classes.tolist() == [0, 2, 3, 4]
    assert metrics.confusion(targets, guesses, classes).tolist() == [
        [1, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
    ]


def test_the_most_confused_classes():
    targets, guesses = np.array([0, 0, 1, 2, 3, 3]), np.array([1, 1, 1, 2, 2, 3])
    assert metrics.most_confused(targets, guesses, classes=5, shown=2).tolist() == [0, 1]
    assert metrics.confusion(targets, guesses, np.array([0, 1])).tolist() == [[0, 2], [0, 1]]


def test_a_confusion_of_classes_that_do_not_occur():
    """Many classes, few examples, no error."""
    targets = np.array([30, 31])
    classes = metrics.most_confused(targets, targets, classes=40, shown=20)
    assert metrics.confusion(targets, targets, classes).sum() == 0


def test_language_modelling_by_hand():
    """Two documents, `sizes` in bytes and characters; token 2 is the most frequent in training."""
    losses, tokens, guesses = np.array([1.0, 2.0, 3.0]), np.array([1, 2, 2]), np.array([1, 1, 2])
    results = metrics.language_modelling(losses, tokens, guesses, np.array([[4, 2], [4, 1]]), np.array([7, 1, 5]))
    assert results["loss"] == 2.0
    assert results["perplexity"] == pytest.approx(np.exp(2))
    assert results["nats_per_character"] == 2.0
    assert results["bits_per_byte"] == pytest.approx(6 / 8 / np.log(2))
    assert results["accuracy"] == results["baseline_accuracy"] == pytest.approx(2 / 3)
    assert results["baseline_nats_per_character"] == pytest.approx(-np.log([2 / 16, 6 / 16, 6 / 16]).sum() / 3)
    assert (results["accuracy_low"], results["accuracy_high"]) == metrics.wilson(2 / 3, 1.0)  # one group of tokens
