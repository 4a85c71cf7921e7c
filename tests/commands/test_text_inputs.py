"""Files of texts and sentences of every kind: each that cannot be read has one line that says why."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime import reading
from pipeline.runtime.commands.text_inputs import Form, read
from pipeline.runtime.errors import UserError

WORDS, EMPTY = Form(words=True), 8 * "\t_"
CONLL_U = "# text = Ann ran\n" + "".join(f"{word}{EMPTY}\n" for word in ("1\tAnn", "2-3\tranoff", "2\tran"))


def contents(*paths: Path, form: Form = WORDS) -> list[Any]:
    found = (item.content for item in read([], list(paths), form))
    return [str(content) if isinstance(content, UserError) else content for content in found]


@pytest.mark.parametrize(
    ("name", "content", "column", "expected"),
    [
        ("a.conll", "Ann B-PER\nran O\n\nno O\n", None, [["Ann", "ran"], ["no"]]),
        ("words.iob", "Ann\nran\n", None, [["Ann", "ran"]]),  # without tags
        ("a.conllu", CONLL_U, None, [["Ann", "ran"]]),
        ("a.conll", "1 Ann O\n2 ran O\n", "1", [["Ann", "ran"]]),
        ("a.conll", "x Ann\n", "-1", [["Ann"]]),
        ("a.CONLL", "-DOCSTART- -X-\n\nAnn O\n", None, [["Ann"]]),
    ],
)
def test_the_words_of_conll(name, content, column, expected, tmp_path):
    (tmp_path / name).write_text(content)
    assert contents(tmp_path / name, form=Form(column, words=True)) == expected


def test_a_sentence_is_named_by_its_first_line(tmp_path):
    (tmp_path / "a.conll").write_text("\nAnn O\n\nno O\n")
    names = [item.name for item in read([], [tmp_path / "a.conll"], WORDS)]
    assert names == [f"{tmp_path}/a.conll line {i}" for i in (2, 4)]


def test_files_of_each_kind_in_a_folder(tmp_path):
    for name, content in (("1.txt", "one\n"), ("2.csv", "text\ntwo\n"), ("3.conll", "three O\n"), ("4.xlsx", "?")):
        (tmp_path / name).write_text(content)
    *texts, refused = contents(tmp_path)
    assert texts == ["one\n", "two", ["three"]]
    assert refused.endswith("4.xlsx: is no text: save it as CSV, in UTF-8")


@pytest.mark.parametrize(
    ("name", "content", "form", "message"),
    [
        ("a.conll", "Ann O\n", Form(), "a.conll: holds sentences of tagged words, and the package reads texts"),
        ("a.conll", "Ann O\n", Form("text", words=True), "--column: must be a column's number .* not 'text'"),
        ("a.csv", "", Form(), "a.csv: its first line must name the columns text"),
        ("a.csv", "mail\nx\n", Form(), r"a.csv: has no column text \(its columns: mail\): --column names the one"),
        ("a.csv", "text,text\nx,y\n", Form(), "a.csv: has 2 columns named text: rename all but one"),
        ("a.csv", "text,n,n\nx,1,2\n", Form(keep=True), "a.csv: has 2 columns named n: rename all but one"),
        ("a.parquet", "no", Form(), "a.parquet: cannot be read"),
        ("a.txt.gz", "no", Form(), "a.txt.gz: cannot be read .*: fetch it again|a.txt.gz: cannot be read"),
        ("empty", None, Form(), "empty: holds no file"),
        ("missing.txt", ..., Form(), "missing.txt: no such file or folder"),
    ],
)
def test_a_file_that_cannot_be_read(name, content, form, message, tmp_path):
    if content is None:
        (tmp_path / name).mkdir()
    elif content is not ...:
        (tmp_path / name).write_text(content)
    (tmp_path / "z.txt").write_text("one\n")
    refused, text = contents(tmp_path / name, tmp_path / "z.txt", form=form)
    assert re.search(message, refused)
    assert text == "one\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conll", "Ann\n\n", "no column 3"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "its text holds a NUL byte or a lone surrogate"),
        ("a.jsonl", '{"text": ["a"]}\n', "its text is neither a text nor a number"),
        ("a.jsonl", "[1]\nnot json\n", "is not a JSON object"),
        ("a.csv", 'text\n"a\0b"\n', "its text holds a NUL byte or a lone surrogate"),
        ("a.csv", "text,n\na,b,c\n", "row 2: has more cells than the header"),
        ("a.conll", "\n\n", "a.conll: has no words"),
    ],
)
def test_a_row_that_cannot_be_read(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    form = Form("3" if "column" in message else None, words=True)
    assert message in contents(tmp_path / name, form=form)[0]


def test_parquet_needs_a_library_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, f"{reading.__name__}.parquet", raising=False)
    monkeypatch.delattr(reading, "parquet", raising=False)
    (refused,) = contents(tmp_path / "a.parquet")
    assert refused.endswith("a.parquet: Parquet needs pyarrow: pip install pyarrow, or save it as CSV")
