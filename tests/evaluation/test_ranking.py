"""ROC and precision-recall curves and thresholds, as scikit-learn has them."""

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipeline.config import paths
from pipeline.evaluation.calibration import measuring, pictures, ranking

LABELS = ("a", "b", "c", "d")


def ranked(n: int = 400, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truths = random.integers(0, k, n)[:, None] == np.arange(k)[None]
    return np.clip(0.35 * truths + random.random((n, k)), 0, 1).round(2), truths  # some are equal


def test_the_areas_are_scikit_learns():
    scores, truths = ranked()
    found = ranking.of_labels(scores, truths, LABELS)
    table = found.scores
    for i, row in enumerate(table.to_dict("records")):
        assert row["roc_auc"] == pytest.approx(roc_auc_score(truths[:, i], scores[:, i]))
        assert row["average_precision"] == pytest.approx(average_precision_score(truths[:, i], scores[:, i]))
        assert row["examples"] == truths[:, i].sum()
    areas = np.trapezoid(found.true_positives, ranking.FALSE_POSITIVES, axis=1)
    assert areas == pytest.approx(table["roc_auc"], abs=2e-3)
    assert np.trapezoid(found.precisions, ranking.RECALLS, axis=1) == pytest.approx(
        table["average_precision"], abs=2e-2
    )


def test_the_thresholds_are_scikit_learns():
    scores, truths = ranked()
    zero: Any = 0  # where nothing is given
    for row in ranking.thresholds(scores, truths, LABELS).to_dict("records"):
        i = LABELS.index(row["label"])
        given = scores[:, i] >= row["threshold"]
        assert row["given"] == given.mean()
        assert row["precision"] == precision_score(truths[:, i], given, zero_division=zero)
        assert row["recall"] == recall_score(truths[:, i], given)
        assert row["f1"] == pytest.approx(f1_score(truths[:, i], given))
        assert row["false_positive_rate"] == pytest.approx(recall_score(~truths[:, i], given))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (paths.EVALUATION, paths.TABLES, paths.IMAGES):
        folder.mkdir(parents=True)


def test_a_label_that_no_example_has_is_left_out_and_said(folders, capsys):
    scores, truths = ranked()
    truths[:, 3] = False
    figures = measuring.ranks("test", scores, truths, LABELS)
    expected = np.mean([roc_auc_score(truths[:, i], scores[:, i]) for i in range(3)])
    assert figures["roc_auc"] == pytest.approx(expected)
    assert capsys.readouterr().out == (
        "note: test: no example, or every one, has 'd': left out of the areas under the curves\n"
    )
    assert (paths.IMAGES / "ranking.png").exists()
    assert len(paths.ROC.read_text().splitlines()) == 102


def test_a_split_of_one_class_has_no_curves(folders, capsys):
    scores, truths = ranked()
    assert measuring.ranks("test", scores, np.broadcast_to(np.arange(4) == 0, truths.shape), LABELS) == {}
    assert "has 'a', 'b', 'c', ...: left out" in capsys.readouterr().out
    assert not paths.ROC.exists()


def test_of_two_labels_the_rarer_one_is_in_the_table(folders):
    scores, truths = ranked(k=2)
    measuring.ranks("test", scores, truths, ("no", "yes"), rarer=1)
    wanted = ranking.of_labels(scores, truths, ("no", "yes")).true_positives[1]
    assert np.genfromtxt(paths.ROC, delimiter=",", skip_header=1)[:, 1] == pytest.approx(wanted)


@pytest.mark.parametrize("k", [2, 10, 40])
def test_the_picture_of_few_and_many_labels(k):
    scores, truths = ranked(k=k)
    labels = tuple(f"$_{i}" for i in range(k))
    figure = pictures.ranked(ranking.of_labels(scores, truths, labels))
    FigureCanvasAgg(figure).draw()
    legend: Any = figure.axes[0].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == {2: 2, 10: 11, 40: 1}[k]
