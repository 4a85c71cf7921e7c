"""Each output form, for labels of whole inputs and of words."""

import json
from typing import Any

import numpy as np
import pytest

from pipeline.commands.answers.predictions import Csv, Json, Table
from pipeline.runtime.tasks.classification import Classification
from pipeline.runtime.tasks.sequence_tagging import SequenceTagging

LABELS = ["cat", "wild dog"]
ONE, TAGS = Classification(LABELS), SequenceTagging(LABELS)
SURE, UNSURE = np.array([0.125, 0.875], np.float32), np.array([0.5, 0.5], np.float32)


def printed(capsys: pytest.CaptureFixture[str], form: type, task: Any, *answers: tuple) -> str:
    made = form(task)
    for name, content, outputs in answers:
        made.write(name, content, task.answer(outputs))
    return capsys.readouterr().out


def test_labels(capsys):
    answers = ("a.png", None, SURE), ("b, c.png", None, UNSURE)
    assert printed(capsys, Table, ONE, *answers) == (
        "probability  label     input\n     0.8750  wild dog  a.png\n     0.5000  cat       b, c.png\n"
    )
    assert printed(capsys, Csv, ONE, *answers) == (
        'input,label,probability\na.png,wild dog,0.875000\n"b, c.png",cat,0.500000\n'
    )
    first, second = map(json.loads, printed(capsys, Json, ONE, *answers).splitlines())
    assert first["probabilities"] == {"cat": 0.125, "wild dog": 0.875}
    assert (second["input"], second["label"], second["probability"]) == ("b, c.png", "cat", 0.5)


def test_words(capsys):
    answer = "input 1", ["The", "end"], np.stack([SURE, UNSURE])
    assert printed(capsys, Table, TAGS, answer) == "The/wild dog end/cat\n"
    assert printed(capsys, Csv, TAGS, answer) == (
        "input,word,label,probability\ninput 1,The,wild dog,0.875000\ninput 1,end,cat,0.500000\n"
    )
    assert json.loads(printed(capsys, Json, TAGS, answer)) == {
        "input": "input 1",
        "words": ["The", "end"],
        "labels": ["wild dog", "cat"],
        "probabilities": [0.875, 0.5],
    }


def test_no_title_stands_above_nothing(capsys):
    assert printed(capsys, Table, ONE) == ""
