"""The figures that an epoch may be chosen by are scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.evaluation import validation

ABSENT: Any = 0.0
RANDOM = np.random.default_rng(0)


def test_macro_f1_of_one_label_each():
    guesses, targets = RANDOM.integers(0, 6, 200), RANDOM.integers(0, 5, 200)
    expected = f1_score(targets, guesses, labels=range(7), average="macro", zero_division=ABSENT)
    assert validation.macro_f1(guesses, targets, 7) == pytest.approx(expected)


def test_macro_f1_of_several_labels():
    guesses, targets = (RANDOM.random((100, 4)) < share for share in (0.3, [0.5, 0.1, 0.9, 0.0]))
    expected = f1_score(targets, guesses, average="macro", zero_division=ABSENT)
    assert validation.macro_f1_of_many(guesses, targets) == pytest.approx(expected)
