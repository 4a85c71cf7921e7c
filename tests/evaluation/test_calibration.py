"""Temperature, Brier score and calibration error, as scikit-learn has them and by hand."""

from typing import Any

import numpy as np
import pytest
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, log_loss

from pipeline.config.evaluation import EvaluationSettings
from pipeline.evaluation.calibration import conformal, fitting, reliability, temperature
from pipeline.runtime.errors import UserError


def drawn(n: int, k: int, times: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `times` what they should be, and the targets."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, k))
    targets = (logits + random.gumbel(size=(n, k))).argmax(-1)  # a draw from their softmax
    return (times * logits).astype(np.float32), targets


class Logits(ClassifierMixin, BaseEstimator):
    """A model whose inputs are its logits."""

    def fit(self, X: Any, y: Any) -> "Logits":
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.decision_function(X).argmax(-1)]

    def decision_function(self, X: Any) -> np.ndarray:
        return np.asarray(X, np.float64)


@pytest.mark.parametrize("times", [0.4, 1.7, 5.0])
@pytest.mark.parametrize("k", [3, 10])
def test_the_temperature_is_scikit_learns(k, times):
    logits, targets = drawn(3_000, k, times)
    oracle: Any = CalibratedClassifierCV(FrozenEstimator(Logits().fit(logits, targets)), method="temperature")
    oracle.fit(logits, targets)
    found = temperature.of_classes(logits, targets)
    assert found.value == pytest.approx(1 / oracle.calibrated_classifiers_[0].calibrators[0].beta_, rel=2e-3)
    assert found.value == pytest.approx(times, rel=0.1)
    probabilities = scipy.special.softmax(logits.astype(float) / found.value, axis=1)
    np.testing.assert_allclose(probabilities, oracle.predict_proba(logits), atol=2e-3)
    assert found.after == pytest.approx(log_loss(targets, probabilities), abs=1e-6)
    assert found.after < found.before
    assert (probabilities.argmax(-1) == logits.argmax(-1)).all()


def test_targets_that_training_lacks_are_left_out():
    logits, targets = drawn(2_000, 4, 2.0)
    more = np.concatenate([targets, np.full(500, 4)])
    assert temperature.of_classes(np.concatenate([logits, logits[:500]]), more) == temperature.of_classes(
        logits, targets
    )


def test_the_temperature_of_several_labels():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2_000, 5))
    targets = random.random(logits.shape) < scipy.special.expit(logits)
    found = temperature.of_labels((3 * logits).astype(np.float32), targets)
    assert found.value == pytest.approx(3, rel=0.05)
    losses = [log_loss(column, scipy.special.expit(row)) for column, row in zip(targets.T, (3 * logits).T)]
    assert found.before == pytest.approx(sum(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "targets", "why"),
    [
        (*drawn(99, 3, 5.0), "there are 99 validation targets, and a temperature needs 100"),
        (*drawn(0, 3, 5.0), "there are 0 validation targets"),
        (*drawn(5_000, 3, 1.0), "no other helps more than chance would"),
        (0.1 * np.eye(3, dtype=np.float32)[np.arange(300) % 3], np.arange(300) % 3, "every validation target is right"),
    ],
)
def test_where_the_temperature_stays_1(logits, targets, why):
    found = temperature.of_classes(logits, targets)
    assert found.value == 1
    assert found.before == found.after
    assert why in (found.why_one or "")


def test_a_temperature_that_chance_alone_suggests_is_rare():
    """One in twenty, by the test that decides."""
    fitted = [temperature.of_classes(*drawn(200, 3, 1.0, seed)).value != 1 for seed in range(200)]
    assert 2 <= sum(fitted) <= 20


@pytest.mark.parametrize("k", [2, 3, 30])
def test_the_brier_score_is_scikit_learns(k):
    logits, targets = drawn(500, k, 1.5)
    probabilities = scipy.special.softmax(logits.astype(float), axis=1)
    expected = brier_score_loss(targets, probabilities, labels=np.arange(k))
    assert reliability.brier(probabilities, targets) == pytest.approx(expected)
    labels = targets[:, None] == np.arange(k)[None]
    each = [brier_score_loss(truth, score) for truth, score in zip(labels.T, probabilities.T)]
    assert reliability.brier_of_labels(probabilities, labels) == pytest.approx(np.mean(each))


def test_the_calibration_error_by_hand():
    confidence, hits = np.array([0.9, 0.91, 0.92, 0.5]), np.array([True, True, False, False])
    assert reliability.bins(confidence, hits).to_numpy().tolist() == [
        [0.5, 0.0, 1.0],
        [pytest.approx(0.91), pytest.approx(2 / 3), 3.0],
    ]
    assert reliability.ece(confidence, hits) == pytest.approx((0.5 + 3 * (0.91 - 2 / 3)) / 4)
    assert reliability.ece(np.ones(3), np.ones(3, bool)) == 0


def test_outputs_that_are_no_numbers_are_refused():
    logits, targets = drawn(200, 3, 1.0)
    logits[3, 1] = np.nan
    with pytest.raises(UserError, match="outputs for 1 of 200 validation targets are not numbers: train again"):
        fitting.of_classes(logits, targets, EvaluationSettings(), lambda rows: rows.argmax(-1))


def test_intervals_cover_what_they_say():
    """Of 1,000 pairs of a validation split of 50 and a new example, as many as split conformal prediction promises."""
    random = np.random.default_rng(0)
    for coverage in (0.8, 0.9):
        inside = 0
        for _ in range(1_000):
            (width,) = conformal.half_widths(random.standard_t(3, (50, 1)), coverage)
            assert width is not None
            inside += abs(random.standard_t(3)) <= width
        assert inside / 1_000 == pytest.approx(coverage + 0.01, abs=0.03)


@pytest.mark.parametrize(("n", "exists"), [(0, False), (8, False), (9, True)])
def test_nine_examples_are_enough_for_an_interval_of_90_percent(n, exists):
    widths = conformal.half_widths(np.arange(2.0 * n).reshape(n, 2), 0.9)
    assert widths == ([16.0, 17.0] if exists else [None, None])
    assert fitting.of_numbers(np.ones((n, 2)), EvaluationSettings())["interval"] == (
        {"coverage": 0.9, "half_widths": [1.0, 1.0]} if exists else None
    )
