"""Each output form, for labels of whole inputs and of words."""

import json

import numpy as np
import pytest

from pipeline.commands.predictions import Csv, Json, Table

LABELS = ["cat", "wild dog"]
SURE, UNSURE = np.array([0.125, 0.875], np.float32), np.array([0.5, 0.5], np.float32)


def printed(capsys: pytest.CaptureFixture[str], form: type, task: str, *answers: tuple) -> str:
    made = form(LABELS, task)
    for answer in answers:
        made.write(*answer)
    return capsys.readouterr().out


def test_labels(capsys):
    answers = ("a.png", None, SURE), ("b, c.png", None, UNSURE)
    assert printed(capsys, Table, "image-classification", *answers) == (
        "probability  label     input\n     0.8750  wild dog  a.png\n     0.5000  cat       b, c.png\n"
    )
    assert printed(capsys, Csv, "image-classification", *answers) == (
        'input,label,probability\na.png,wild dog,0.875000\n"b, c.png",cat,0.500000\n'
    )
    first, second = map(json.loads, printed(capsys, Json, "image-classification", *answers).splitlines())
    assert first["probabilities"] == {"cat": 0.125, "wild dog": 0.875}
    assert (second["input"], second["label"], second["probability"]) == ("b, c.png", "cat", 0.5)


def test_words(capsys):
    answer = "input 1", ["The", "end"], np.stack([SURE, UNSURE])
    assert printed(capsys, Table, "sequence-tagging", answer) == "The/wild dog end/cat\n"
    assert printed(capsys, Csv, "sequence-tagging", answer) == (
        "input,word,label,probability\ninput 1,The,wild dog,0.875000\ninput 1,end,cat,0.500000\n"
    )
    assert json.loads(printed(capsys, Json, "sequence-tagging", answer)) == {
        "input": "input 1",
        "words": ["The", "end"],
        "labels": ["wild dog", "cat"],
        "probabilities": [0.875, 0.5],
    }


def test_no_title_stands_above_nothing(capsys):
    assert printed(capsys, Table, "image-classification") == ""
