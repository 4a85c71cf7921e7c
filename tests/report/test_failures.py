"""Figures of slices, pairs, doubted labels and drift, with numbers worked out by hand or by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from pipeline.evaluation import metrics
from pipeline.evaluation.dataset import drift, traits
from pipeline.evaluation.dataset.drift import Sample
from pipeline.evaluation.failures import label_errors, outcomes, slices

LABELS = ("a", "b", "c")


def probabilities(rows: list[tuple[float, float, float]]) -> np.ndarray:
    return np.array(rows)


def test_labels_become_outcomes():
    made = outcomes.of_labels(
        LABELS,
        probabilities([(0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.1, 0.9, 0.0), (0.7, 0.2, 0.1)]),
        np.array([0, 1, 1, 2]),
    )
    assert made.gained.tolist() == [1, 0, 1, 0]
    assert made.mistaken == 2
    assert made.pairs is not None
    assert made.pairs.to_dict("records") == [
        {"truth": "b", "answer": "a", "count": 1},
        {"truth": "c", "answer": "a", "count": 1},
    ]
    assert made.mistakes["example"].tolist() == [3, 1]  # the most confident first
    assert made.mistakes["remark"].tolist() == ["70.0 % sure", "60.0 % sure"]


def test_label_sets_give_micro_f1():
    targets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    given = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    made = outcomes.of_label_sets(LABELS, np.where(given, 0.9, 0.2), given, targets, np.full(3, 0.5))
    assert made.gained.sum() / made.possible.sum() == pytest.approx(2 * 2 / (3 + 3))
    assert set(made.mistakes["answer"]) == {"c", "not b"}
    assert made.mistakes["truth"].tolist() == ["b", "a, b"]


def test_numbers_are_in_their_unit_or_in_deviations():
    values, targets = np.array([[1.0, 10.0], [2.0, 40.0]]), np.array([[2.0, 10.0], [2.0, 20.0]])
    one = outcomes.of_numbers(["x"], "m", values[:, :1], targets[:, :1], np.ones(1))
    assert (one.measure.unit, one.gained.tolist()) == ("m", [1.0, 0.0])
    two = outcomes.of_numbers(["x", "y"], "m", values, targets, np.array([1.0, 10.0]))
    assert two.gained.tolist() == [1.0, 0.0, 0.0, 2.0]
    assert two.mistakes["answer"].tolist()[:2] == ["y 40", "x 1"]


def test_tokens_are_counted_by_characters_in_their_own_document():
    spellings, starts = [b"", b"a", b"b", b"\xc3", b"\xa4"], np.array([0, 4, 8])
    table = pd.DataFrame(
        {
            "place": [1, 2, 3, 5, 6, 7],
            "token": [1, 2, 1, 2, 3, 4],
            "loss": [1.0] * 6,
            "guess": [1, 2, 2, 2, 3, 1],
            "confidence": [0.5] * 6,
        }
    )
    made = outcomes.of_tokens(table, ["", "a", "b", "?", "?"], spellings, starts)
    assert made.possible.tolist() == [1, 1, 1, 1, 1, 0]  # the character of two tokens counts once
    assert made.mistakes[["example", "place"]].to_numpy().tolist() == [[0, 3], [1, 3]]  # places within the document


def test_the_rate_of_independent_answers_is_wilsons():
    hits = np.array([1.0] * 80 + [0.0] * 20)
    found = slices.rate(hits, np.ones(100), np.arange(100), is_share=True)
    by_scipy = binomtest(80, 100).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx(
        (by_scipy.low, by_scipy.high), abs=0.005
    )  # a t for a normal quantile
    clustered = slices.rate(hits, np.ones(100), np.arange(100) // 10, is_share=True)
    starts = np.arange(0, 101, 10)
    assert (clustered.low, clustered.high) == pytest.approx(metrics.interval_of_groups(hits > 0, starts))


@pytest.mark.parametrize("is_share", [True, False])
def test_intervals_of_clustered_rates_hold_the_truth(is_share):
    """In 95 of 100 cases, within the error of 400 cases; of groups of different sizes."""
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        sizes = random.integers(1, 12, 60)
        level = random.beta(6, 2, 60) if is_share else random.gamma(4, 1, 60)
        group = np.repeat(np.arange(60), sizes)
        of = level[group]
        gained = (random.random(len(of)) < of).astype(float) if is_share else random.exponential(of)
        found = slices.rate(gained, np.ones(len(of)), group, is_share=is_share)
        held += found.low <= (0.75 if is_share else 4.0) <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_slices_say_where_it_is_worst_and_which_are_small():
    correct = np.array([True] * 150 + [False] * 50)
    table = probabilities([(1.0, 0.0, 0.0)] * 200)
    made = outcomes.of_labels(LABELS, table, np.where(correct, 0, 1))
    found = pd.DataFrame({"shop": ["north"] * 150 + ["south"] * 40 + [""] * 10, "length": np.arange(200.0), "same": 1})
    rows = slices.table(made, found)
    assert list(rows["by"].unique()) == ["true label", "shop", "length"]
    shops = rows[rows["by"] == "shop"]
    assert shops["value"].tolist() == ["south", "(empty)", "north"]
    assert shops["few"].tolist() == [False, True, False]
    assert bool(np.all(rows["accuracy"].to_numpy()[:1] == 0))
    assert rows["accuracy"].tolist()[0] == 0


def test_rare_values_are_one_slice():
    values = np.array([f"v{min(i, 150)}" for i in range(1_000)], object)
    levels = slices._levels(values)
    assert len(set(levels)) == slices.LEVELS
    assert slices.OTHER in levels


def test_wrong_labels_are_found_and_suggested():
    random = np.random.default_rng(0)
    true = random.integers(0, 3, 600)
    scores = np.full((600, 3), 0.05)
    scores[np.arange(600), true] = 0.9
    given = true.copy()
    given[:30] = (true[:30] + 1) % 3
    found = label_errors.of_labels(LABELS, scores, given)
    assert set(found["row"]) == set(range(30))
    assert found["suggested"].tolist() == [LABELS[true[row]] for row in found["row"]]
    lacking = label_errors.of_labels(
        (*LABELS, "d"), np.pad(scores, ((0, 0), (0, 1))), given
    )  # a class without examples
    assert set(lacking["row"]) == set(range(30))


def test_wrong_tags_sets_and_numbers_are_found():
    scores = np.tile([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], (50, 1))
    targets = np.tile([0, 1], 50)
    targets[7] = 0
    targets[99] = 3  # a tag that the model does not know
    words = label_errors.of_words(LABELS, scores, targets, np.arange(0, 101, 10))
    assert words[["row", "place", "given", "suggested"]].values.tolist() == [[0, 7, "a", "b"]]
    sets = np.tile([[True, False, True], [False, True, True]], (50, 1))
    believed = np.where(sets, 0.9, 0.1)
    sets[4] = ~sets[4]
    assert label_errors.of_label_sets(LABELS, believed, sets, np.full(3, 0.5))["row"].tolist() == [4]
    numbers = np.random.default_rng(0).normal(size=(200, 1))
    given = numbers + np.random.default_rng(1).normal(size=(200, 1)) * 0.1
    given[3] += 5
    assert label_errors.of_numbers(["x"], numbers, given)["row"].tolist() == [3]


def sample(values: np.ndarray, texts: list[str], files: list[str]) -> Sample:
    return Sample(pd.DataFrame({"length": values}), files, texts, None)


def test_drift_is_seen_where_there_is_some(monkeypatch):
    random = np.random.default_rng(0)
    words = ["one", "two", "three", "four"]

    def splits(shift: float, word: str) -> drift.Drift:
        both = {
            name: sample(
                random.normal(add, 1, 300), [f"{random.choice(words)} {extra}" for _ in range(300)], ["a.csv"] * 300
            )
            for name, add, extra in (("train", 0.0, "same"), ("test", shift, word))
        }
        monkeypatch.setattr(drift, "_sample", lambda split, seed: both[split])
        return drift.between("train", "test", 0)

    alike, apart = splits(0.0, "same"), splits(1.0, "same")
    assert not alike.differs
    assert alike.low is not None
    assert alike.high is not None
    assert alike.low < 0.5 < alike.high
    assert drift.different(alike.traits) == []
    assert apart.differs
    assert drift.different(apart.traits) == ["length"]
    by_words = splits(0.0, "other")
    assert by_words.auc is not None
    assert by_words.auc > 0.95


def test_intervals_of_auc_hold_a_half_where_splits_are_alike(monkeypatch):
    held = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        both = {
            name: Sample(pd.DataFrame(random.normal(size=(200, 3))), ["a"] * 200, None, random.random((200, 4)))
            for name in ("train", "test")
        }
        monkeypatch.setattr(drift, "_sample", lambda split, seed, both=both: both[split])
        found = drift.between("train", "test", seed)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert held >= 35


@pytest.mark.parametrize(
    ("source", "file", "folder"),
    [
        ("data/raw/mnist/t10k-images.gz: image 12", "t10k-images.gz", "mnist"),
        ("data/raw/a b.csv row 1,234", "a b.csv", "raw"),
        ("data/raw/x.zip/in/b.txt line 3, character 1,000", "b.txt", "in"),
        ("data/raw/cats/1.png", "1.png", "cats"),
    ],
)
def test_files_and_folders_of_sources(source, file, folder):
    assert traits.files(source) == {"file": file, "folder": folder}
