"""Tests, intervals and metrics by hand, and as scipy and scikit-learn have them."""

import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from pipeline.evaluation.comparison import measures, statistics
from pipeline.evaluation.comparison.statistics import Difference

RANDOM = np.random.default_rng(0)


def hits(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Right in A and in B: how many rows are right in both, in A alone, in B alone, in none."""
    pairs = np.repeat([[True, True], [True, False], [False, True], [False, False]], counts, axis=0)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 5), (10, 2), (7, 7), (0, 0)])
def test_mcnemar_by_hand(only_a, only_b):
    """Twice the tail of a fair coin over the rows that one side alone has right."""
    n, few = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, k) for k in range(few + 1)) / 2**n
    assert statistics.mcnemar(*hits(50, only_a, only_b, 9)) == pytest.approx(min(1.0, 2 * tail))


def test_the_permutation_test_is_scipys_on_means():
    a, b = RANDOM.normal(size=(2, 9))
    expected = scipy.stats.permutation_test(
        (b - a,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True
    )
    one, other = measures.mean("x", a), measures.mean("x", b)
    assert statistics.permutation(one, one.parts, other.parts) == pytest.approx(expected.pvalue)


def test_the_permutation_test_agrees_with_mcnemar():
    """Over independent hits both ask the same."""
    a, b = hits(60, 12, 3, 5)
    one, other = measures.share("x", a), measures.share("x", b)
    assert statistics.permutation(one, one.parts, other.parts) == pytest.approx(statistics.mcnemar(a, b), abs=0.01)


def test_the_interval_is_scipys_bootstrap():
    a, b = RANDOM.random((2, 200))
    found = statistics.compare([[measures.mean("x", a)]], [[measures.mean("x", b)]], np.arange(200))[0]
    expected = scipy.stats.bootstrap((b - a,), np.mean, method="percentile", rng=np.random.default_rng(0))
    low, high = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)
    assert found.difference == pytest.approx((b - a).mean())


def test_words_of_a_sentence_count_together():
    """Sentences of ten words that are right or wrong together are one example each."""
    a, b = hits(60, 12, 3, 5)
    one = statistics.compare([[measures.share("x", a)]], [[measures.share("x", b)]], np.arange(80))[0]
    words = [[[measures.share("x", np.repeat(x, 10))]] for x in (a, b)]
    ten = statistics.compare(words[0], words[1], np.repeat(np.arange(80), 10))[0]
    assert (one.low, one.high) == pytest.approx((ten.low, ten.high))
    assert one.p == pytest.approx(ten.p, abs=0.01)


@pytest.mark.parametrize("labels", [2, 5])
def test_f1_is_scikit_learns(labels):
    targets, guesses = RANDOM.integers(0, labels, (2, 60))
    assert measures.macro_f1(guesses, targets, labels).value == pytest.approx(
        f1_score(targets, guesses, average="macro", labels=range(labels))
    )
    true, guessed = RANDOM.random((2, 60, labels)) < 0.4
    assert measures.macro_f1_of_many(guessed, true).value == pytest.approx(f1_score(true, guessed, average="macro"))
    counts = ((true & guessed).sum(axis=1), guessed.sum(axis=1), true.sum(axis=1))
    assert measures.micro_f1("x", *counts).value == pytest.approx(f1_score(true, guessed, average="micro"))


def test_metrics_of_resamples_are_those_of_the_rows():
    """A metric of sums is the metric of the rows that are summed, each as often as it was drawn."""
    targets, guesses = RANDOM.integers(0, 3, (2, 40))
    measure = measures.macro_f1(guesses, targets, 3)
    drawn = RANDOM.integers(0, 40, 40)
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    assert measure.score(weights @ measure.parts)[0] == pytest.approx(measure.take(drawn).value)


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.5]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_how_many_examples_would_be_needed():
    """By the textbook's formula: a hundred times the variance needs a hundred times the examples."""
    found = Difference("x", True, 0.90, 0.91, -0.01, 0.03, 0.3, "", error_of_clusters=0.01, error_of_runs=0.0)
    wanted = statistics.needed(found, 1_000, 1)
    assert wanted is not None
    assert wanted[0] == math.ceil(1_000 * (1.959964 + 0.841621) ** 2)
    assert statistics.needed(Difference("x", True, 0.9, 0.9, 0.0, 0.0, 1.0, "", 0.0, 0.0), 1_000, 1) is None
    noisy = Difference("x", True, 0.90, 0.91, -0.01, 0.03, 0.3, "", error_of_clusters=0.001, error_of_runs=0.01)
    more = statistics.needed(noisy, 1_000, 3)
    assert more is not None
    assert more == (1_000, 26)  # seeds


def test_as_many_as_needed_do_show_it():
    """In about 80 of 100 comparisons."""
    only_a, only_b, shown = 0.05, 0.09, 0
    spread = (only_a + only_b - (only_b - only_a) ** 2) ** 0.5
    found = Difference("x", True, 0.85, 0.89, 0.0, 0.0, 0.3, "", spread / 10, 0.0)  # of 100 examples
    wanted = statistics.needed(found, 100, 1)
    assert wanted is not None
    for _ in range(400):
        draw = RANDOM.random(wanted[0])
        shown += statistics.mcnemar(draw < 0.8 + only_a, (draw < 0.8) | (draw >= 1 - only_b)) < 0.05
    assert 0.7 < shown / 400 < 0.87


def test_one_cluster_has_no_interval():
    a, b = hits(5, 1, 2, 2)
    found = statistics.compare([[measures.share("x", a)]], [[measures.share("x", b)]], np.zeros(10, int))[0]
    assert math.isnan(found.low)
    assert found.p == 1.0
    several = statistics.compare([[measures.share("x", a)]] * 2, [[measures.share("x", b)]] * 2, np.zeros(10, int))[0]
    assert math.isnan(several.low)


def test_runs_that_say_the_same_are_like_one():
    """Only the examples are left to vary."""
    a, b = hits(150, 20, 35, 5)
    one = statistics.compare([[measures.share("x", a)]], [[measures.share("x", b)]], np.arange(210))[0]
    many = statistics.compare([[measures.share("x", a)]] * 3, [[measures.share("x", b)]] * 3, np.arange(210))[0]
    assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=0.01)


def test_the_same_input_gives_the_same_figures():
    a, b = hits(150, 20, 35, 5)
    once, again = (
        statistics.compare([[measures.share("x", a)]], [[measures.share("x", b)]], np.arange(210)) for _ in range(2)
    )
    assert once == again
