"""Whether two splits are alike: can a simple classifier tell their examples apart, and in what do they differ?

A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) and the two-sample test of Kolmogorov and
Smirnov for each trait. Axes: n examples of both splits, d features.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from jaxtyping import Bool, Float, Int
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from pipeline.config import paths
from pipeline.evaluation.dataset import traits
from pipeline.evaluation.metrics import QUANTILE

MOST = 2_000  # examples of each split
RESAMPLES = 200
FEWEST = 4  # groups of each split: with fewer, nothing can be said
SIDE = 8  # pixels of the thumbnails that the classifier sees
TERMS = 2_000  # words that it counts
CHARACTERS = 2_000  # of a text, from its start
PASSAGES, PASSAGE = 100, 1_000  # of a long document, at most; characters of one
ALIKE = 0.55  # an AUC below it is no difference worth a word, whatever its interval
SURE, DIFFERENT = 0.01, 0.1  # a trait differs by this p, divided by their number, and this distance


class Sample(NamedTuple):
    """Examples of a split: their traits, which of them belong together, and what else the classifier sees."""

    traits: pd.DataFrame
    groups: list[str]
    texts: list[str] | None
    thumbnails: Float[np.ndarray, "n d"] | None
    unit: str = "examples"


Auc: TypeAlias = tuple[float, float, float] | tuple[None, None, None]  # and its interval


class Drift(NamedTuple):
    """`auc` is None where there are too few groups for a classifier."""

    auc: float | None
    low: float | None
    high: float | None
    train: int
    test: int
    unit: str  # what was compared
    traits: pd.DataFrame  # trait, distance, p, median_train, median_test; the most different first

    @property
    def differs(self) -> bool:
        return self.auc is not None and self.auc >= ALIKE and (self.low or 0) > 0.5


def between(train: str, test: str, seed: int) -> Drift:
    """How two splits differ, by samples of them."""
    both = [_sample(split, seed) for split in (train, test)]
    sizes = [len(sample.groups) for sample in both]
    is_test = np.repeat([False, True], sizes)
    columns = [traits.numbers(sample.traits) for sample in both]
    auc, low, high = _auc(both, is_test, seed)
    return Drift(auc, low, high, sizes[0], sizes[1], both[0].unit, _by_trait(*columns))


def _sample(split: str, seed: int) -> Sample:
    rows, kind = traits.sampled(split, MOST, seed), traits.content(split)
    found = traits.of(split, rows)
    if kind == "image":
        pixels = np.load(paths.features(split) / "images.npy", mmap_mode="r")
        small = np.stack([_thumbnail(np.asarray(pixels[row])) for row in rows])
        return Sample(found, _groups(found), None, small)
    contents = [row[kind] for row in traits.read(split, [kind], rows)]
    texts = [" ".join(value) if isinstance(value, list) else value for value in contents]
    if len(texts) < MOST and max(map(len, texts)) > PASSAGES * PASSAGE:  # few long documents
        return _passages(found, texts)
    return Sample(found, _groups(found), [text[:CHARACTERS] for text in texts], None)


def _passages(found: pd.DataFrame, texts: list[str]) -> Sample:
    """The documents in passages: a document is a group."""
    parts: list[tuple[int, str]] = []
    for i, text in enumerate(texts):
        starts = np.arange(0, max(len(text) - PASSAGE, 0) + 1, PASSAGE)
        kept = starts[np.linspace(0, len(starts) - 1, min(PASSAGES, len(starts))).round().astype(int)]
        parts += [(i, text[start : start + PASSAGE]) for start in kept]
    of = traits.numbers(pd.DataFrame([traits.of_text(part) for _, part in parts]))
    names = [f"{found['folder'][i]}/{found['file'][i]}" for i, _ in parts]
    return Sample(of.drop(columns="characters"), names, [part for _, part in parts], None, "passages")


def _thumbnail(pixels: np.ndarray) -> Float[np.ndarray, " d"]:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64).ravel() / 255


def _groups(found: pd.DataFrame) -> list[str]:
    return (found["folder"] + "/" + found["file"]).tolist()


def _auc(both: list[Sample], is_test: Bool[np.ndarray, " n"], seed: int) -> Auc:
    """How well the classifier, trained on half of the examples, tells those of the other half apart: 0.5 is not at all,
    1 always. The interval is of percentiles over resamples of the groups. Files that lie in one split alone are groups.

    Not by cross-validation: where splits are alike, what a fold has more of the other folds have less of, so that its
    AUC is often far below 0.5, and no interval is right.
    """
    own, other = (set(sample.groups) for sample in both)
    names = [name for sample in both for name in sample.groups]
    # Of files that both have, of a file for each split, or of a file for each example: examples stand alone.
    if own & other or len(own) == len(other) == 1 or len(own | other) > len(names) / 2:
        groups = np.arange(len(names))
    else:
        groups = np.unique(names, return_inverse=True)[1]
    if min(len(np.unique(groups[is_test == side])) for side in (False, True)) < FEWEST:
        return None, None, None
    halves = StratifiedGroupKFold(2, shuffle=True, random_state=seed)
    seen, held_out = next(halves.split(names, is_test, groups))
    if len(set(is_test[seen])) < 2 or len(set(is_test[held_out])) < 2:
        return None, None, None
    features = _features(both)
    model = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced").fit(features[seen], is_test[seen])
    scores, true = model.decision_function(features[held_out]), is_test[held_out]
    return float(roc_auc_score(true, scores)), *_interval(scores, true, groups[held_out], seed)


def _features(both: list[Sample]) -> Any:
    """What the classifier sees of all examples: dense, or sparse where there are texts. None of it depends on which
    split an example is in.
    """
    table = pd.concat([traits.numbers(sample.traits) for sample in both])
    numbers = StandardScaler().fit_transform(table.to_numpy(float))
    if both[0].thumbnails is not None:
        return np.concatenate([numbers, np.concatenate([np.asarray(sample.thumbnails) for sample in both])], axis=1)
    texts = [text for sample in both for text in sample.texts or ()]
    words: Any = TfidfVectorizer(max_features=TERMS, sublinear_tf=True, token_pattern=r"\S+").fit_transform(texts)
    return scipy.sparse.hstack([scipy.sparse.csr_array(numbers), words]).tocsr()


def _interval(
    scores: Float[np.ndarray, " n"], is_test: Bool[np.ndarray, " n"], groups: Int[np.ndarray, " n"], seed: int
) -> tuple[float, float]:
    random, found = np.random.default_rng(seed), []
    own = np.unique(groups, return_inverse=True)[1]
    count, places = int(own.max()) + 1, np.unique(scores, return_inverse=True)[1]
    while len(found) < RESAMPLES:
        weights = np.bincount(random.integers(0, count, count), minlength=count)[own]
        if weights[is_test].any() and weights[~is_test].any():
            found.append(_weighted_auc(places, is_test, weights))
    low, high = np.quantile(found, (1 - QUANTILE, QUANTILE))
    return float(low), float(high)


def _weighted_auc(
    places: Int[np.ndarray, " n"], is_test: Bool[np.ndarray, " n"], weights: Int[np.ndarray, " n"]
) -> float:
    """Of scores by their places in order: the share of pairs in which the test example has the higher one, where equal
    ones are half a pair.
    """
    test, train = (np.bincount(places, weights * side) for side in (is_test, ~is_test))
    return float((test * (train.cumsum() - train / 2)).sum() / (test.sum() * train.sum()))


def _by_trait(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in train:
        one, other = train[name].to_numpy(float), test[name].to_numpy(float)
        if np.ptp(np.concatenate([one, other])):
            found: Any = scipy.stats.ks_2samp(one, other, method="asymp")
            rows.append((name, float(found.statistic), float(found.pvalue), np.median(one), np.median(other)))
    columns = ["trait", "distance", "p", "median_train", "median_test"]
    table = pd.DataFrame(rows, columns=columns)
    order = np.argsort(-table["distance"].to_numpy(float), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def different(table: pd.DataFrame) -> list[str]:
    """The traits that surely differ, and by more than a little."""
    sure = table[(table["p"] * len(table) < SURE) & (table["distance"] >= DIFFERENT)]
    return [str(name) for name in sure["trait"]]
