"""`label-errors` finds wrong labels of the training split by models that have not seen them."""

import csv
import subprocess
import sys

import pytest
from small_runs import build

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reports")]


def label_errors(folder, *arguments):
    command = [sys.executable, "-m", "pipeline", "label-errors", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)


def test_wrong_training_labels_are_found(tmp_path):
    build(tmp_path / "run", "texts")
    done = label_errors(tmp_path / "run", "--folds", "2")
    assert done.returncode == 0, done.stderr
    assert "labels are doubtful" in done.stdout
    with (tmp_path / "run" / "label_errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["source"].rpartition(" ")[2]) - 2 for row in rows]  # the header is a row
    wrong = [number % 10 == 0 for number in numbers]  # one in ten is
    assert sum(wrong) >= 0.5 * len(rows)
    assert sum(wrong) >= 6  # of about twelve
    assert all(wrong[:1])
    assert (tmp_path / "run" / "trained").exists()  # as it was
    done = label_errors(tmp_path / "run", "--folds", "1")
    assert (done.returncode, done.stderr) == (1, "error: --folds: at least 2\n")


def test_a_text_without_labels_is_refused(tmp_path):
    build(tmp_path / "run", "writer")
    done = label_errors(tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr == "error: own: its texts have no labels that could be wrong\n"
