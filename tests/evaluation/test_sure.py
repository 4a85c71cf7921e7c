"""Answering only when sure: the threshold, what it reaches, and its curve."""

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.calibration import sure


def answers(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each is right, as often as it says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, n)
    return confidence, random.random(n) < confidence


def test_the_threshold_by_hand(monkeypatch):
    monkeypatch.setattr(sure, "LEAST", 1)
    confidence, hits = np.array([0.9, 0.6, 0.8, 0.6, 0.7]), np.array([True, True, True, False, False])
    assert sure.threshold(confidence, hits, 1.0) == pytest.approx(0.75)  # halfway between 0.8 and 0.7
    assert sure.threshold(confidence, hits, 0.6) == 0  # all of them
    assert sure.threshold(confidence, hits, 0.7) == pytest.approx(0.75)  # 0.6 stands for two: both or none
    assert sure.threshold(confidence, ~hits, 0.9) is None


def test_few_sure_answers_say_little():
    confidence, hits = np.linspace(0.5, 1, 100), np.arange(100) >= 60
    assert sure.threshold(confidence, hits, 0.95) is None  # the 40 that are all right are too few
    assert sure.threshold(confidence[-49:], hits[-49:], 0.5) is None
    assert sure.threshold(np.zeros(0), np.zeros(0, bool), 0.5) is None


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_other_answers_reach_what_was_wanted(wanted):
    """On average over 100 models, each with 2,000 validation and 2,000 test answers, within a percent."""
    reached = []
    for seed in range(100):
        threshold = sure.threshold(*answers(2_000, seed), wanted)
        assert threshold is not None
        figures = sure.reached(*answers(2_000, 1_000 + seed), threshold)
        assert figures["accuracy_low"] < figures["accuracy"] < figures["accuracy_high"]
        reached.append(figures["accuracy"])
    assert np.mean(reached) == pytest.approx(wanted, abs=0.01)


def test_groups_widen_the_interval():
    hits = np.repeat(np.arange(100) % 5 > 0, 10)
    confidence = np.where(np.arange(1_000) % 10 < 5, 0.9, 0.1)
    alone = sure.reached(confidence, hits, 0.5)
    groups = sure.reached(confidence, hits, 0.5, np.arange(0, 1_001, 10))
    assert (alone["examples"], alone["accuracy"]) == (groups["examples"], groups["accuracy"]) == (500, 0.8)
    assert groups["accuracy_low"] < alone["accuracy_low"] < alone["accuracy_high"] < groups["accuracy_high"]
    assert (alone["accuracy_low"], alone["accuracy_high"]) == metrics.interval(hits[confidence > 0.5])


def test_the_curve_ends_with_all_answers():
    confidence, hits = answers(1_000)
    curve = sure.curve(confidence, hits)
    assert curve["coverage"].to_numpy() == pytest.approx(sure.SHARES)
    assert curve["accuracy"].iloc[-1] == hits.mean()
    assert curve["accuracy"].iloc[0] > 0.9
    assert sure.curve(np.ones(3), np.array([True, False, True])).to_numpy()[0][:2].tolist() == [1.0, 1.0]


def test_the_table_names_accuracies_that_are_not_reached():
    confidence, hits = answers(200)
    rows = sure.table(confidence, hits, {"0.9": 0.75, "0.99": None, "0.995": 1.1}).set_index("wanted")
    assert rows.loc[0.9, "accuracy"] == hits[confidence >= 0.75].mean()
    assert rows.loc[0.99].isna().all()
    assert rows.loc[0.995, "coverage"] == 0
    assert np.isnan(rows.loc[0.995, "accuracy"])
