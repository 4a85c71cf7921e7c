"""Paired tests and intervals for the difference between two models on the same examples.

What is drawn anew is a cluster: an example by itself, or the words of a sentence, the passages of a document, the
examples of a group. Axes: n rows, m clusters, q sums of a metric, r resamples, s runs (seeds) of a side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.stats
from jaxtyping import Bool, Float, Int

from pipeline.evaluation.comparison.measures import Measure, Parts

RESAMPLES = 2_000  # of a bootstrap
MOST, FEWEST, WORK = 9_999, 1_999, 20_000_000  # permutations, and about how many swaps they may take together
CELLS = 5_000_000  # of an array, at most
SEED = 0
POWER = 0.8
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """B less A. `low`, `high` and `p` are NaN where a single cluster leaves them undefined."""

    metric: str
    rises: bool
    a: float
    b: float
    low: float
    high: float
    p: float
    test: str
    error_of_clusters: float  # standard error that comes from the choice of the clusters
    error_of_runs: float  # and from the runs' seeds; 0 where a side has no second run

    @property
    def difference(self) -> float:
        return self.b - self.a

    @property
    def is_better(self) -> bool:
        return self.difference > 0 if self.rises else self.difference < 0


def compare(
    a: Sequence[Sequence[Measure]], b: Sequence[Sequence[Measure]], clusters: Int[np.ndarray, " n"]
) -> list[Difference]:
    """The metrics of the runs `b` against those of the runs `a`, on the same rows: a Difference for each.

    `clusters` numbers each row's cluster from 0. With a run a side, intervals are of the paired bootstrap and p is of
    McNemar's exact test or of a permutation test. With several, both are of Student's t over seeds and clusters.
    """
    count = int(clusters.max()) + 1
    sums = scipy.sparse.csr_array((np.ones(len(clusters)), (clusters, np.arange(len(clusters)))))  # m n
    independent = count == len(clusters)
    runs = [*a, *b]
    parts = [[sums @ measure.parts for measure in run] for run in runs]
    drawn = _bootstrap(runs, parts, count)
    results = []
    for i, (one, other) in enumerate(zip(a[0], b[0], strict=True)):
        values = np.array([run[i].value for run in runs])  # s
        scores = np.array([of_run[i] for of_run in drawn])  # s r
        if len(runs) > 2:
            results.append(_of_groups(one, values, scores, len(a), count))
            continue
        differences = scores[1] - scores[0]
        if independent and one.hits is not None and other.hits is not None:
            p, test = mcnemar(one.hits, other.hits), "McNemar"
        else:
            p, test = permutation(one, parts[0][i], parts[1][i]), "permutation"
        low, high = expanded_percentiles(differences, count)
        spread = float(differences.std())
        results.append(Difference(one.name, one.rises, one.value, other.value, low, high, p, test, spread, 0.0))
    return results


def mcnemar(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    """The two-sided exact p that both are right equally often, from the rows that only one has right (McNemar 1947,
    Psychometrika 12:153). It errs a little to the safe side.
    """
    return sign_test(int((b & ~a).sum()), int((a & ~b).sum()))


def sign_test(fixed: int, broken: int) -> float:
    """The two-sided exact p that a change is as likely for the better as for the worse."""
    return float(scipy.stats.binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def permutation(measure: Measure, a: Parts, b: Parts) -> float:
    """The two-sided p that it does not matter which model's answers are which: those of each cluster are swapped at
    random. `a` and `b` hold the sums of each cluster (m q). Exact where all ways to swap can be tried.
    """
    change = b - a
    rows = np.unique(change.nonzero()[0])  # where both say the same, a swap changes nothing
    if len(rows) < 2:
        return 1.0
    change, total_a, total_b = change[rows], np.asarray(a.sum(axis=0)), np.asarray(b.sum(axis=0))

    def statistic(first: np.ndarray, second: np.ndarray, axis: int) -> Any:
        moved = np.moveaxis(first, axis, -1) @ change  # `first` is 1 where the cluster's answers are swapped
        return measure.score(total_b - moved) - measure.score(total_a + moved)

    found: Any = scipy.stats.permutation_test(
        (np.zeros(len(rows)), np.ones(len(rows))),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=min(MOST, max(FEWEST, WORK // len(rows))),
        batch=max(1, CELLS // len(rows)),
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def expanded_percentiles(draws: Float[np.ndarray, " r"], clusters: int) -> tuple[float, float]:
    """The 95 % interval from bootstrap draws: percentiles, a little further out the fewer the clusters, without which
    the interval of few would be too short (Hesterberg 2015, The American Statistician 69:371). NaN for one cluster.
    """
    if clusters < 2:
        return float("nan"), float("nan")
    wide = scipy.stats.t.ppf(1 - LEVEL / 2, clusters - 1) * np.sqrt(clusters / (clusters - 1))
    low, high = np.quantile(draws, scipy.stats.norm.cdf([-wide, wide]))
    return float(low), float(high)


def holm(p: Sequence[float]) -> list[float]:
    """The p of several tests, adjusted so that at most one family in 20 has a false alarm at 0.05 (Holm 1979,
    Scandinavian Journal of Statistics 6:65).
    """
    order, adjusted, worst = np.argsort(p, kind="stable"), [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted


def needed(found: Difference, clusters: int, runs: int) -> tuple[int, int] | None:
    """How many clusters, and how many runs a side, would show a difference as large as the one found, in 4 of 5
    comparisons. None where none was found, or more clusters alone would not do and there is a single run.

    What is not enough is raised alone, or both where neither suffices.
    """
    wanted = abs(found.difference) / (scipy.stats.norm.ppf(1 - LEVEL / 2) + scipy.stats.norm.ppf(POWER))
    if not wanted > 0:
        return None
    of_clusters, of_runs, allowed = found.error_of_clusters**2, found.error_of_runs**2, wanted**2
    if of_runs < allowed * 0.9:  # more clusters do
        return max(clusters, int(np.ceil(clusters * of_clusters / (allowed - of_runs)))), runs
    if of_clusters < allowed * 0.9:  # more runs do
        return clusters, int(np.ceil(runs * of_runs / (allowed - of_clusters)))
    return int(np.ceil(clusters * 2 * of_clusters / allowed)), int(np.ceil(runs * 2 * of_runs / allowed))


def _bootstrap(
    runs: Sequence[Sequence[Measure]], parts: Sequence[Sequence[Parts]], clusters: int
) -> list[list[Float[np.ndarray, " r"]]]:
    """Each run's metrics on resamples of the clusters, the same resamples for all."""
    found: list[list[list[np.ndarray]]] = [[[] for _ in run] for run in runs]
    for weights in _resamples(clusters):
        for of_run, run, sums in zip(found, runs, parts):
            for scores, measure, part in zip(of_run, run, sums):
                scores.append(measure.score(weights @ part))
    return [[np.concatenate(scores) for scores in of_run] for of_run in found]


def _resamples(clusters: int) -> Iterator[Float[np.ndarray, "r m"]]:
    """How often each cluster is in a resample of the test split, some resamples at a time."""
    random, batch = np.random.default_rng(SEED), max(1, CELLS // clusters)
    for start in range(0, RESAMPLES, batch):
        some = min(batch, RESAMPLES - start)
        chosen = random.integers(0, clusters, (some, clusters)) + clusters * np.arange(some)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=some * clusters)
        yield counts.reshape(some, clusters).astype(np.float64)


def _of_groups(
    measure: Measure, values: Float[np.ndarray, " s"], scores: Float[np.ndarray, "s r"], first: int, clusters: int
) -> Difference:
    """The difference of the means of both sides' runs, of which `first` are A's, as an estimate for other seeds and
    other examples.

    Its variance has a part for the seeds (of each side's values), a part for the clusters (of the mean difference over
    resamples), and both count the interaction of the two, which is taken off once: the variance of a mean over two
    crossed random factors (Searle, Casella and McCulloch 1992, Variance Components). Student's t with Satterthwaite's
    degrees of freedom (1946, Biometrics Bulletin 2:110). A side with a single run is given the other's spread.
    """
    sides = [slice(0, first), slice(first, None)]
    sizes = [first, len(values) - first]
    spreads = [float(values[side].var(ddof=1)) if size > 1 else None for side, size in zip(sides, sizes)]
    known = [(spread, size - 1) for spread, size in zip(spreads, sizes) if spread is not None]
    terms = [(spread / size, size - 1) for spread, size in zip(spreads, sizes) if spread is not None]
    terms += [(known[0][0] / size, known[0][1]) for spread, size in zip(spreads, sizes) if spread is None]
    if len(known) < 2:  # both terms hang on one estimate
        terms = [(sum(term for term, _ in terms), known[0][1])]
    a, b = (float(values[side].mean()) for side in sides)
    of_clusters = float((scores[sides[1]].mean(axis=0) - scores[sides[0]].mean(axis=0)).var())
    interaction = 0.0
    for side, size in zip(sides, sizes):
        if size > 1:
            own = scores[side] - scores[side].mean(axis=0)
            interaction += float(own.var(axis=1).sum()) / (size - 1) / size
    of_runs = sum(term for term, _ in terms)
    alone = max(of_runs - interaction, 0.0)
    variance = of_clusters + alone
    terms.append((of_clusters, clusters - 1))
    if not variance > 0 or clusters < 2:
        nan = float("nan")
        same = a == b and not variance > 0
        return Difference(measure.name, measure.rises, a, b, nan, nan, 1.0 if same else nan, "t", 0.0, 0.0)
    # Large when all runs of a side say the same: the seeds' term is then small as well.
    freedom = sum(term for term, _ in terms) ** 2 / sum(term**2 / free for term, free in terms)
    half = float(scipy.stats.t.ppf(1 - LEVEL / 2, freedom)) * variance**0.5
    p = float(2 * scipy.stats.t.sf(abs(b - a) / variance**0.5, freedom))
    return Difference(
        measure.name, measure.rises, a, b, b - a - half, b - a + half, p, "t", of_clusters**0.5, alone**0.5
    )
