"""Answers that say whether they are sure, numbers with an interval, and a labels.json that is wrong in either."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.runtime import tasks
from pipeline.runtime.errors import UserError

ROW = np.array([0.25, 0.125, 0.625], np.float32)


def load(folder: Path, name: str, **content: Any) -> Any:
    (folder / "labels.json").write_text(json.dumps({"labels": ["a", "b", "c"], **content}))
    return tasks.load(name, folder, 3)


@pytest.mark.parametrize(("threshold", "sure"), [(0.6, True), (0.625, True), (0.7, False), (0, True), (None, False)])
def test_one_label(tmp_path, threshold, sure):
    task = load(tmp_path, "classification", sure={"accuracy": 0.9, "threshold": threshold})
    answer = task.answer(ROW)
    assert answer["sure"] is sure
    assert list(task.rows("x", answer)) == [("c", "0.625000", "yes" if sure else "no")]
    assert task.columns == ("label", "probability", "sure")
    place = task.title.index("sure")
    assert task.line("x.png", "x", answer)[place : place + 8].strip() == ("yes" if sure else "not sure")
    assert task.line("x.png", "x", answer)[task.title.index("input") :] == "x.png"


def test_words(tmp_path):
    task = load(tmp_path, "sequence-tagging", sure={"accuracy": 0.9, "threshold": 0.6})
    answer = task.answer(np.stack([ROW, np.full(3, 1 / 3, np.float32)]))
    assert answer["sure"] == [True, False]
    assert [row[-1] for row in task.rows(["one", "two"], answer)] == ["yes", "no"]
    assert task.columns[-1] == "sure"


@pytest.mark.parametrize("name", ["classification", "sequence-tagging"])
def test_a_package_that_says_nothing_of_it(tmp_path, name):
    task = load(tmp_path, name)
    assert "sure" not in task.answer(ROW if name == "classification" else ROW[None])
    assert "sure" not in task.columns


def test_numbers(tmp_path):
    task = load(tmp_path, "regression", interval={"coverage": 0.9, "half_widths": [1.0, 2.0, 0.5]})
    answer = task.answer(np.array([10.0, 20.0, 30.0]))
    assert answer == {
        "values": {"a": 10.0, "b": 20.0, "c": 30.0},
        "low": {"a": 9.0, "b": 18.0, "c": 29.5},
        "high": {"a": 11.0, "b": 22.0, "c": 30.5},
        "coverage": 0.9,
    }
    assert task.columns[:4] == ("a", "a low", "a high", "b")
    assert list(task.rows("x", answer)) == [["10", "9", "11", "20", "18", "22", "30", "29.5", "30.5"]]
    assert task.line("x", "x", answer).split()[:3] == ["10", "9", "11"]
    assert task.title.split()[:3] == ["a", "a", "low"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("classification", {"sure": 0.9}, "sure must have a threshold, a number or null"),
        ("classification", {"sure": {"threshold": "0.9"}}, "sure must have a threshold"),
        ("classification", {"sure": {"threshold": True}}, "sure must have a threshold"),
        ("sequence-tagging", {"sure": {"accuracy": 0.9}}, "sure must have a threshold"),
        ("regression", {"interval": 0.9}, "interval must have its coverage, and as many half_widths as"),
        ("regression", {"interval": {"coverage": 0.9, "half_widths": [1.0]}}, "interval must have its coverage"),
        ("regression", {"interval": {"coverage": 0.9, "half_widths": [1.0, 2.0, "3"]}}, "interval must have"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, name, content, why):
    with pytest.raises(UserError, match=rf"labels\.json: {why}"):
        load(tmp_path, name, **content)
