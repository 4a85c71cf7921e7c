"""What predict can say beside an answer: the likeliest labels, spans, CoNLL, the columns of a table."""

import csv
import io
import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.runtime.commands import forms, text_inputs
from pipeline.runtime.commands.forms import Conll, Csv, Json, Table, distinct
from pipeline.runtime.commands.predict import Input, answer, encode
from pipeline.runtime.commands.views import Likeliest, Spans, View
from pipeline.runtime.errors import UserError
from pipeline.runtime.inputs.sentences import Sentences
from pipeline.runtime.tasks.classification import Classification
from pipeline.runtime.tasks.multi_label_classification import MultiLabelClassification
from pipeline.runtime.tasks.regression import Regression
from pipeline.runtime.tasks.sequence_tagging import SequenceTagging

ANIMALS = Classification(["cat", "dog", "emu"])
NAMES = SequenceTagging(["B-PER", "I-PER", "O"], "IOB2")
PARTS = SequenceTagging(["noun", "verb"])
ROW = np.array([0.25, 0.125, 0.625], np.float32)


def tagged(*labels: str) -> np.ndarray:
    return np.stack([np.where(np.array(NAMES.labels) == label, 0.75, 0.125) for label in labels]).astype(np.float32)


def sentence(text: str) -> Input:
    return Input("input 1", (), Sentences.__new__(Sentences).parse(text), text)


def test_the_likeliest_labels(capsys):
    Table(Likeliest(ANIMALS, 2)).write(Input("a.png", ()), ROW)
    assert capsys.readouterr().out == (
        "probability  label  input\n     0.6250  emu    a.png\n     0.2500  cat    a.png\n"
    )
    Csv(Likeliest(ANIMALS, 9)).write(Input("a.png", ()), ROW)  # there are three
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row == {
        "input": "a.png",
        "label": "emu",
        "probability": "0.625000",
        "top 1": "emu",
        "probability 1": "0.625000",
        "top 2": "cat",
        "probability 2": "0.250000",
        "top 3": "dog",
        "probability 3": "0.125000",
    }
    Json(Likeliest(ANIMALS, 1)).write(Input("a.png", ()), ROW)
    assert json.loads(capsys.readouterr().out) == {
        "input": "a.png",
        "label": "emu",
        "probability": 0.625,
        "top": [{"label": "emu", "probability": 0.625}],
    }


def test_the_likeliest_of_several_labels_need_not_be_those_that_are_predicted(capsys):
    several = MultiLabelClassification(["a", "b", "c"], [0.1, 0.1, 0.9])
    Csv(Likeliest(several, 1)).write(Input("x", ()), ROW)
    assert capsys.readouterr().out.splitlines()[1] == "x,a|b,0.250000|0.125000,c,0.625000"


def test_the_likeliest_tags_are_those_of_each_word(capsys):
    Table(Likeliest(NAMES, 1)).write(sentence("Ann ran"), tagged("I-PER", "O"))  # a sentence begins with no I-PER
    assert capsys.readouterr().out.splitlines()[1:] == ["     0.7500  I-PER  Ann", "     0.7500  O      ran"]
    Json(Likeliest(NAMES, 1)).write(sentence("Ann ran"), tagged("I-PER", "O"))
    found = json.loads(capsys.readouterr().out)
    assert found["labels"][0] != "I-PER"
    assert found["top"] == [[{"label": "I-PER", "probability": 0.75}], [{"label": "O", "probability": 0.75}]]


TEXT = "  So Ann\tLee and  Ann ran\n"
LABELS = ("O", "B-PER", "I-PER", "O", "B-PER", "O")


def test_spans_have_places_in_words_and_in_the_text_as_it_was_given(capsys):
    Json(Spans(NAMES)).write(sentence(TEXT), tagged(*LABELS))
    first, second = json.loads(capsys.readouterr().out)["spans"]
    assert first == {
        "label": "PER",
        "start": 1,
        "end": 3,
        "start_character": 5,
        "end_character": 12,
        "text": "Ann\tLee",
    }
    assert (second["start"], second["start_character"], second["text"]) == (4, TEXT.rindex("Ann"), "Ann")
    Table(Spans(NAMES)).write(sentence("Ann Lee"), tagged("B-PER", "I-PER"))
    assert capsys.readouterr().out.splitlines()[1].split() == ["PER", "0-2", "0-7", "Ann", "Lee", "(input", "1)"]
    Csv(Spans(NAMES)).write(sentence("of Ann"), tagged("O", "B-PER"))
    assert capsys.readouterr().out.splitlines()[1] == "input 1,PER,1,2,3,6,Ann"


def test_conll(capsys):
    form = Conll(View(NAMES))
    form.write(sentence("Ann ran"), tagged("B-PER", "O"))
    form.write(sentence("no"), tagged("O"))
    assert capsys.readouterr().out == "Ann\tB-PER\nran\tO\n\nno\tO\n\n"


def predictor(task: Any) -> Any:
    """One that answers each text with the same outputs."""

    def encode(content: Any, name: str) -> Any:
        return (np.zeros(1),)

    inputs = SimpleNamespace(from_files=False, from_words=task is not ANIMALS, parse=lambda text: text)
    return SimpleNamespace(task=task, inputs=inputs, encode=encode, outputs=lambda given: [ROW for _ in given])


def options(**given: Any) -> Namespace:
    return Namespace(
        **{
            "top": None,
            "spans": False,
            "conll": False,
            "csv": False,
            "json": False,
            "keep_columns": False,
            "inputs": [],
            "file": [],
            **given,
        }
    )


def kept(*paths: Path, column: str | None = None) -> tuple[int, Any]:
    form, asked = text_inputs.Form(column, keep=True), predictor(ANIMALS)
    output = forms.choose(options(csv=True, keep_columns=True, file=list(paths)), asked, form)
    return answer(asked, (encode(asked, *item) for item in text_inputs.read([], list(paths), form)), output), form


def test_a_table_keeps_its_columns_and_rows(tmp_path, capsys):
    path = tmp_path / "mails.csv"
    path.write_text('id,text,label\n1,"a, ""b""\nc",old\n2,,old\n3,d,old\n')
    assert kept(path)[0] == 1
    printed = capsys.readouterr()
    assert printed.out == (
        'id,text,label,predicted label,probability\n1,"a, ""b""\nc",old,emu,0.625000\n2,,old,,\n3,d,old,emu,0.625000\n'
    )
    assert "mails.csv row 4: its text is empty" in printed.err


def test_tables_of_other_columns_and_kinds_share_one(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,n\nx,1\n")
    (tmp_path / "b.jsonl").write_text('{"text": "y", "tags": ["é", 1], "ok": true}\n{"text": "z"}\n')
    assert kept(tmp_path / "a.csv", tmp_path / "b.jsonl")[0] == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["text"], row["n"], row["tags"], row["ok"], row["label"]) for row in rows] == [
        ("x", "1", "", "", "emu"),
        ("y", "", '["é", 1]', "true", "emu"),
        ("z", "", "", "", "emu"),
    ]


def test_a_name_that_both_have_is_told_apart():
    assert distinct(["label", "probability"], ["label", "predicted label"]) == ["predicted label 2", "probability"]


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (Regression(["price"], {}), {"top": 2}, "--top: the package predicts numbers"),
        (ANIMALS, {"top": 0}, "--top: must be 1 or more"),
        (ANIMALS, {"spans": True}, "--spans: the package's labels are no tags that mark spans"),
        (PARTS, {"spans": True}, "--spans: the package's labels are no tags that mark spans"),
        (NAMES, {"spans": True, "top": 2}, "--spans: has no other labels"),
        (ANIMALS, {"conll": True}, "--conll: the package labels no words"),
        (NAMES, {"conll": True, "spans": True}, "--conll: leave out --top and --spans"),
        (ANIMALS, {"keep_columns": True}, "--keep-columns: is a form of --csv: add it"),
        (ANIMALS, {"keep_columns": True, "csv": True, "inputs": ["a"]}, "--keep-columns: needs tables"),
        (ANIMALS, {"keep_columns": True, "csv": True, "file": [Path("x.txt")]}, "x.txt has no columns: name tables"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(task, given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("a\n")
    with pytest.raises(UserError, match=message):
        forms.choose(options(**given), predictor(task), text_inputs.Form(keep=True))
