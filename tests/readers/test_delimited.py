"""Delimiters and quotes of tables are found out, whoever wrote them; what can be read in two ways is refused."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sources import examples, fails, read, refused, write

from pipeline.readers import Example

TABLE = {"format": "table", "text": "text", "label": "label"}
ROWS = [('say "hi"', "a"), ("tab\there", "b"), ("two\nlines", "a"), ("a, comma; a | bar", "b")]
MANY = "ham\twell, some text\n" * 10_000  # more than the first block


def pairs(folder: Path, name: str, content: str | bytes, **options: Any) -> list[tuple[object, object]]:
    write(folder, {name: content})
    return [(item.content, item.label) for item in examples(folder / name, **TABLE, **options)]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_what_pandas_writes(tmp_path, suffix, separator, quoting):
    out = io.StringIO()
    pd.DataFrame(ROWS, columns=["text", "label"]).to_csv(out, sep=separator, index=False, quoting=quoting)
    assert pairs(tmp_path, f"a.{suffix}", out.getvalue()) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", 'text, label\n"good, yes", "pos"\n"bad", "neg"\n', [("good, yes", "pos"), ("bad", "neg")]),
        ("a.csv", 'text,label\n" ""so""",pos\n so,neg\n', [(' "so"', "pos"), (" so", "neg")]),
        ("a.csv", "text;label;n\r\na, b;x;1,5\r\n", [("a, b", "x")]),
        ("a.csv", "sep=;\ntext;label\na;x\n", [("a", "x")]),
        ("a.tsv", '"text"\t"label"\n"a b"\t"x"\n', [("a b", "x")]),  # R
        ("a.tsv", 'text\tlabel\n"a, b"\tx\nc d\ty\n', [("a, b", "x"), ("c d", "y")]),  # Excel
        ("a.tsv", 'label\ttext\nx\t"Oh\ny\tno"\nx\t"A", "B"\n', [('"Oh', "x"), ('no"', "y"), ('"A", "B"', "x")]),
        ("a.tsv", 'label\ttext\nx\t"Oh\ny\tis"\nx\ta\ny\tb\n', [('"Oh', "x"), ('is"', "y"), ("a", "x"), ("b", "y")]),
        ("a.tsv", 'text\tlabel\n"a\tb\nc"\tx\n' + "d\tx\n" * 3, [("a\tb\nc", "x"), *[("d", "x")] * 3]),
        ("a.tsv", 'label\ttext\nx\t"Yes"\ny\tno\n', [('"Yes"', "x"), ("no", "y")]),
        ("a.csv", "text,label\ra,x\rb,y\r", [("a", "x"), ("b", "y")]),
        ("a.csv", "text,label\r\r\na,x\r\r\nb,y\r\r\n", [("a", "x"), ("b", "y")]),
    ],
)  # fmt: skip
def test_tables_of_other_programs(tmp_path, name, content, expected):
    assert pairs(tmp_path, name, content) == expected


def test_quotes_that_first_occur_late(tmp_path):
    head = f"label\ttext\n{MANY}"
    assert pairs(tmp_path, "a.tsv", f'{head}x\t"she ""x"""\ny\tz\n')[-2:] == [('she "x"', "x"), ("z", "y")]
    assert pairs(tmp_path, "a.tsv", f'{head}x\t"oh\ny\tz\n')[-2:] == [('"oh', "x"), ("z", "y")]


def test_quotes_that_contradict_each_other(tmp_path):
    write(tmp_path, {"a.tsv": f'label\ttext\nx\t"Yes"\n{MANY}x\t"she ""x"""\n'})
    fails(tmp_path / "a.tsv", "row 10003: has a quoted cell, but quotes in earlier rows look like text: set", **TABLE)
    assert examples(tmp_path / "a.tsv", **TABLE, quoting="minimal")[-1].content == 'she "x"'
    assert examples(tmp_path / "a.tsv", **TABLE, quoting="none")[0].content == '"Yes"'
    write(tmp_path, {"a.tsv": f'label\ttext\nx\t"she ""x"""\n{MANY}x\t"oh\n'})
    fails(tmp_path / "a.tsv", "row 10003: a quote is opened here .* set quoting to none", **TABLE)


def test_quotes_that_may_join_two_rows_or_not(tmp_path):
    write(tmp_path, {"a.tsv": 'text\tlabel\n"a\tb\nc"\tx\n'})
    fails(tmp_path / "a.tsv", "quotes may be text, or enclose cells with line breaks", **TABLE)
    assert pairs(tmp_path, "a.tsv", 'text\tlabel\n"a\tb\nc"\tx\n', quoting="minimal") == [("a\tb\nc", "x")]


def test_what_is_said_counts(tmp_path):
    assert pairs(tmp_path, "a.csv", "text~label\na;b~x\n", delimiter="~") == [("a;b", "x")]
    assert pairs(tmp_path, "a.csv", 'text,label\n"a,x\n', quoting="none") == [('"a', "x")]


def test_the_header_again(tmp_path):
    write(tmp_path, {"a.csv": "text,label\na,x\n\ufefftext,label\nb,y\n"})
    assert refused(tmp_path / "a.csv", **TABLE) == {"repeats the header": "row 3"}
    assert [item.content for item in read(tmp_path / "a.csv", **TABLE) if isinstance(item, Example)] == ["a", "b"]
    write(tmp_path, {"a.csv": "text,label\na,x\n Text,LABEL\nb,y\n"})
    assert refused(tmp_path / "a.csv", **TABLE) == {"repeats the header": "row 3"}
    write(tmp_path, {"a.csv": "text,label\na,x\nlabel,text\ny,b\n"})
    fails(tmp_path / "a.csv", "row 3: is a header with its columns in another order", **TABLE)
