"""What predict reads, and each output form, for labels of whole inputs and of words."""

import gzip
import json
import os
import re
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.runtime.commands import generate, predict, text_inputs
from pipeline.runtime.commands.forms import Csv, Json, Table
from pipeline.runtime.commands.predict import Input
from pipeline.runtime.commands.views import View
from pipeline.runtime.encoders.specs import ImageSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.generator import Sampling, sample_token
from pipeline.runtime.inputs.images import Images
from pipeline.runtime.inputs.sentences import Sentences
from pipeline.runtime.tasks.classification import Classification
from pipeline.runtime.tasks.multi_label_classification import MultiLabelClassification
from pipeline.runtime.tasks.sequence_tagging import SequenceTagging

LABELS = ["cat", "wild dog"]
ONE, TAGS = Classification(LABELS), SequenceTagging(LABELS)
SURE, UNSURE = np.array([0.125, 0.875], np.float32), np.array([0.5, 0.5], np.float32)


def printed(capsys: pytest.CaptureFixture[str], form: type, task: Any, *answers: tuple) -> str:
    made = form(View(task))
    for name, content, outputs in answers:
        made.write(Input(name, (), content), outputs)
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


def test_a_mark_between_labels_is_none_within_one(capsys):
    several = MultiLabelClassification(["a|b", "c"], [0.1, 0.1])
    assert r"a\|b|c" in printed(capsys, Csv, several, ("x", None, UNSURE))


def test_no_title_stands_above_nothing(capsys):
    assert printed(capsys, Table, ONE) == ""


def test_a_label_of_two_lines_stays_on_one(capsys):
    assert printed(capsys, Table, Classification(["a\nb", "c"]), ("x", None, UNSURE)).count("\n") == 2


def read(inputs: list[str], *files: str) -> dict[str, str]:
    """Each text by its place, or what is wrong with it."""
    return {name: str(text) for name, text, _ in text_inputs.read(inputs, [Path(file) for file in files])}


def test_a_texts_place_is_named_and_a_file_is_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mails.txt").write_text("one\n\ntwo\n")
    Path("README").write_text("a word that is a file's name too\n")
    Path("mails.csv").write_text('text\n"a, b"\n""\n')
    assert read(["a.b", "README", "x" * 5_000, "a\0b/"], "mails.txt", "mails.csv") == {
        "input 1": "a.b",
        "input 2": "README",
        "input 3": "x" * 5_000,
        "input 4": "a\0b/",
        "mails.txt line 1": "one\n",
        "mails.txt line 3": "two\n",
        "mails.csv row 2": "a, b",
        "mails.csv row 3": "mails.csv row 3: its text is empty",
    }
    assert "input 1: 'mails.txt' is the name of a file or folder, not a text: --file" in read(["mails.txt"])["input 1"]
    (found,) = text_inputs.read([], [Path("mails.csv")], text_inputs.Form("words"))
    assert re.search(r"mails.csv: has no column words .*: --column names the one with the texts", str(found.content))


def test_what_a_text_may_have_been_meant_as_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("README").write_text("a word that is a file's name too\n")
    read(["README", "mails/1.eml", "see 1.txt"])
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "note: input 1: 'README' is taken for a text: --file reads a file",
        "note: input 2: 'mails/1.eml' is taken for a text: there is no such file",
    ]


def test_a_file_without_texts_is_no_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = {"empty.txt": "", "blank.txt": "\n \n", "head.csv": "text\n", "LOUD.CSV.GZ": "text\na\n", "a.json": "[]"}
    for name, content in contents.items():
        Path(name).write_bytes(gzip.compress(content.encode()) if name.endswith("GZ") else content.encode())
    assert read([], "empty.txt", "blank.txt", "head.csv", "LOUD.CSV.GZ") == {
        "empty.txt": "empty.txt: has no text",
        "blank.txt": "blank.txt: has no text",
        "head.csv": "head.csv: has no rows",
        "LOUD.CSV.GZ row 2": "a",
    }
    assert read([], "a.json", "a.json")["a.json"].startswith("a.json: is no text: write one object per line")


@pytest.mark.parametrize(
    ("name", "content", "message", "form", "texts"),
    [
        ("a.txt", b"caf\xe9\n", "set encoding", {"encoding": "cp1252"}, ["caf\xe9\n"]),
        ("a.csv", b"text\ncaf\xe9\n", "set encoding", {"encoding": "cp1252"}, ["caf\xe9"]),
        ("b.csv", b'text,n\n"a,1\nc,2\n', "set quoting to none", {"quoting": "none"}, ['"a', "c"]),
    ],
)
def test_a_message_s_cure_is_an_option(name, content, message, form, texts, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert message in list(read([], str(path)).values())[-1]
    assert [one.content for one in text_inputs.read([], [path], text_inputs.Form(**form))] == texts
    with pytest.raises(UserError, match="--encoding: must be an encoding, such as utf-8"):
        list(text_inputs.read([], [path], text_inputs.Form(encoding="klingon")))


def test_words_stand_between_asciis_blanks():
    assert Sentences.__new__(Sentences).parse("10\xa0000\tF \u3000\n") == ["10\xa0000", "F", "\u3000"]


def test_a_minus_is_standard_input(tmp_path, monkeypatch):
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    monkeypatch.setattr(text_inputs, "STDIN_PATH", str(tmp_path / "in.txt"))
    lines = {"standard input line 1": "one\n", "standard input line 2": "two\n"}
    assert read(["-"]) == read([], "-") == lines


def test_a_link_in_a_folder_of_images_that_leads_nowhere_is_named(tmp_path):
    for name, target in (("gone.png", "nowhere.png"), ("folder", tmp_path.parent), (".hidden", "nowhere")):
        os.symlink(target, tmp_path / name)
    found = [Path(str(path)).name for path in predict.image_files([str(tmp_path)])]
    assert found == ["folder", "gone.png"]
    with pytest.raises(UserError, match="input 2: is empty: name an image, or a folder"):
        list(predict.image_files(["a.png", ""]))


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_language_model_rates_no_empty_text(text, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict", "package", text])
    assert generate.score(None, predict.parse(), [text_inputs.Text("input 1", text)]) == 1  # type: ignore[arg-type]
    assert "error: input 1: has no text" in capsys.readouterr().err


def test_a_tiny_temperature_chooses_the_likeliest():
    logits, random = np.array([1.0, 3.0, 2.0], np.float32), np.random.default_rng(0)
    assert sample_token(logits, Sampling(temperature=5e-324), random) == 1


def png(width: int, height: int, *, before: bytes = b"") -> bytes:
    """A PNG of one bit a pixel that is all zeros, and a chunk before them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(min(height * (width // 8 + 1), 1_000_000)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_image_files_that_cannot_be_read_and_one_that_can(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for suffix in ("gif", "eps", "bmp"):
        Image.new("RGB", (8, 8)).save(f"a.{suffix}")
    contents = {"a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "zero.png": b"", "nul.png": bytes(1_000)}
    contents |= {"bomb.png": png(30_000, 30_000), "good.png": png(8, 8)}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    Path("folder").mkdir()
    Path("large.png").touch()
    os.truncate("large.png", 2 << 30)  # of zeros that are nowhere
    inputs: Any = Images(ImageSpec(8, 8, "grey", "exact", 0, "black"))
    asked: Any = SimpleNamespace(inputs=inputs, encode=inputs.encode)
    given = ["good.png", "a.gif", "a.eps", "a.bmp", "a.svg", "zero.png", "nul.png", "bomb.png", "large.png", "folder"]
    good, *bad = predict.read_inputs(asked, [*given, "missing.png"], [])
    assert not isinstance(good.encoded, UserError)
    unreadable = "is not a readable PNG, JPEG or WebP image"
    assert [str(item.encoded) for item in bad] == [
        *(f"a.{suffix}: {unreadable}" for suffix in ("gif", "eps", "bmp", "svg")),
        "zero.png: is empty",
        f"nul.png: {unreadable}",
        "bomb.png: has too many pixels (limit 100,000,000)",
        "large.png: is larger than any image (2,147,483,648 bytes)",
        "folder: holds no image",
        "missing.png: No such file or directory",
    ]


def test_options_may_stand_before_inputs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict", "package", "--explain", "out", "a.png", "--top", "2", "b.png"])
    assert predict.parse().inputs == ["a.png", "b.png"]
