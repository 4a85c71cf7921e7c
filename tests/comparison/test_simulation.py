"""Intervals cover the truth in 95 of 100 test sets, and at 0.05 `compare` gives 5 false alarms in 100.

Each figure is held to what its own number of trials can tell: 3.3 binomial standard errors, which one true figure in a
thousand misses.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.stats

from pipeline.evaluation import metrics
from pipeline.evaluation.comparison import measures, statistics
from pipeline.evaluation.comparison.statistics import Difference

TRIALS, LONG_TRIALS = 200, 4_000
ERRORS = 3.3


def near(share: float, expected: float, trials: int, slack: float = 0.0) -> bool:
    return abs(share - expected) <= ERRORS * (expected * (1 - expected) / trials) ** 0.5 + slack


trials = pytest.mark.parametrize(
    "trials", [TRIALS, pytest.param(LONG_TRIALS, marks=pytest.mark.long)], ids=["few", "many"]
)


@trials
@pytest.mark.parametrize(("truth", "n"), [(0.9, 200), (0.98, 500), (0.5, 60)])
def test_the_interval_of_one_model_covers(trials, truth, n):
    """Wilson's, over independent examples: exactly as often as the binomial distribution says, on average 95 %."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(trials):
        low, high = metrics.interval(random.random(n) < truth)
        covered += low <= truth <= high
    assert near(covered / trials, 0.95, trials, slack=0.012)  # shares of n examples are steps: see Brown et al. 2001


@trials
def test_the_interval_of_one_model_covers_over_groups(trials):
    random, covered = np.random.default_rng(0), 0
    for _ in range(trials):
        sizes, own = random.integers(5, 30, 80), random.beta(9, 1, 80)
        right = random.random(sizes.sum()) < np.repeat(own, sizes)
        low, high = metrics.interval_of_groups(right, np.cumsum([0, *sizes]))
        covered += low <= 0.9 <= high
    assert near(covered / trials, 0.95, trials, slack=0.01)


def independent(random: np.random.Generator, gain: float) -> Difference:
    """Two models that are right about 85 % of 250 examples, mostly the same; B about more by `gain`."""
    draw = random.random(250)
    both, only_a, only_b = 0.78, 0.07, 0.07 + gain
    a = draw < both + only_a
    b = (draw < both) | ((draw >= both + only_a) & (draw < both + only_a + only_b))
    return statistics.compare([[measures.share("x", a)]], [[measures.share("x", b)]], np.arange(250))[0]


def clustered(random: np.random.Generator, gain: float) -> Difference:
    """Words of 60 sentences: whether a model is right about them depends on the sentence and on the model in it."""
    sizes = random.integers(5, 25, 60)
    clusters, words = np.repeat(np.arange(60), sizes), int(sizes.sum())
    shared, draw = random.normal(size=60), random.random(words)
    right = []
    for more in (0.0, gain):
        own = 0.85 + 0.06 * np.tanh(shared + random.normal(size=60))
        right.append(draw < own[clusters] + more)
    a, b = ([[measures.share("x", x)]] for x in right)
    return statistics.compare(a, b, clusters)[0]


def numbers(random: np.random.Generator, gain: float) -> Difference:
    """Errors of 80 examples, with long tails."""
    hard = random.exponential(size=80)
    a, b = (hard * random.exponential(size=80) for _ in range(2))
    return statistics.compare([[measures.mean("x", a)]], [[measures.mean("x", b + gain)]], np.arange(80))[0]


def seeds(random: np.random.Generator, gain: float) -> Difference:
    """Three runs a side, which differ by their seeds, over 100 examples that suit one setting or the other."""
    example, sides = random.normal(size=100), []
    for more in (0.0, gain):
        setting = example + 0.3 * random.normal(size=100) + more
        side = [setting + 0.05 * random.normal() + 0.5 * random.normal(size=100) for _ in range(3)]
        sides.append([[measures.mean("x", run)] for run in side])
    return statistics.compare(sides[0], sides[1], np.arange(100))[0]


MODELS: dict[str, tuple[Callable[[np.random.Generator, float], Difference], float]] = {
    "independent": (independent, 0.03),
    "clustered": (clustered, 0.03),
    "numbers": (numbers, 0.3),
    "seeds": (seeds, 0.1),
}


def simulated(name: str, gain: float, trials: int) -> Iterator[Difference]:
    random = np.random.default_rng(1)
    return (MODELS[name][0](random, gain) for _ in range(trials))


@trials
@pytest.mark.parametrize("name", MODELS)
def test_the_interval_of_a_difference_covers(name, trials, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 1_000)
    monkeypatch.setattr(statistics, "permutation", lambda *given: 1.0)  # p is not asked here
    gain = MODELS[name][1]
    for truth in (0.0, gain):
        covered = sum(one.low <= truth <= one.high for one in simulated(name, truth, trials))
        assert near(covered / trials, 0.95, trials, slack=0.01)


@trials
@pytest.mark.parametrize("name", MODELS)
def test_false_alarms(name, trials, monkeypatch):
    """At 5 %; of McNemar's exact test, which errs to the safe side, as often as its own sum of binomials says."""
    monkeypatch.setattr(statistics, "RESAMPLES", 300 if name == "seeds" else 10)
    for constant in ("MOST", "FEWEST"):
        monkeypatch.setattr(statistics, constant, 999)
    share = sum(one.p < statistics.LEVEL for one in simulated(name, 0.0, trials)) / trials
    assert near(share, exact_size() if name == "independent" else 0.05, trials, slack=0.005)


def exact_size() -> float:
    """How often the test must reject where `independent` has no gain: 14 % of 250 examples differ, by a fair coin."""
    return float(sum(scipy.stats.binom.pmf(n, 250, 0.14) * size_of_sign_test(n) for n in range(10, 65)))


def size_of_sign_test(n: int) -> float:
    fixed = np.arange(n + 1)
    rejects = [statistics.sign_test(int(k), int(n - k)) < statistics.LEVEL for k in fixed]
    return float(scipy.stats.binom.pmf(fixed, n, 0.5) @ rejects)


def test_mcnemars_test_is_never_too_bold():
    """And the more examples differ, the nearer it comes to 5 %."""
    sizes = [size_of_sign_test(n) for n in (10, 35, 100, 400)]
    assert max(sizes) <= 0.05
    assert sizes[-1] > 0.04


def test_one_seed_says_nothing_of_another():
    """Had the seeds been left out, one comparison in several would be a false alarm."""
    random, alarms = np.random.default_rng(2), 0
    for _ in range(50):
        example = random.normal(size=60)
        a, b = (example + 0.4 * random.normal() + 0.5 * random.normal(size=60) for _ in range(2))
        alarms += statistics.compare([[measures.mean("x", a)]], [[measures.mean("x", b)]], np.arange(60))[0].p < 0.05
    assert alarms > 25
