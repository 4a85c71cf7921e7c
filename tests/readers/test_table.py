"""Tables of texts and of pictures, whatever they are stored in."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError
from sources import examples, fails, pack, peak_memory, picture, read, refused, write

from pipeline.readers import Example, Reader, Refused
from pipeline.readers.formats import table
from pipeline.runtime.errors import UserError

TABLE = {"format": "table", "text": "text", "label": "label"}
CSV = 'text,label,part,who\n"good, ""very""",pos,train,a\n"two\nlines",neg,dev,\r\nplain,pos,,b\n'
ROWS = [
    ('good, "very"', "pos", "train", "a"),
    ("two\nlines", "neg", "validation", None),
    ("plain", "pos", None, "b"),
]


def columns(items: list[Example]) -> list[tuple[object, ...]]:
    return [(e.content, e.label, e.split, e.group) for e in items]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_csv_in_any_unicode(tmp_path, encoding):
    content = ("\ufeff" if encoding == "utf-16-be" else "") + CSV.replace("plain", "žluťoučký 🐎")
    write(tmp_path, {"a.csv": content.encode(encoding), "a.csv.gz": gzip.compress(content.encode(encoding))})
    for name in ("a.csv", "a.csv.gz"):
        items = examples(tmp_path / name, **TABLE, split="part", group="who")
        assert columns(items) == [*ROWS[:2], ("žluťoučký 🐎", "pos", None, "b")]
        assert [e.where for e in items] == [f"{tmp_path / name} row {n}" for n in (2, 3, 5)]


def test_a_folder_and_an_archive_of_tables(tmp_path):
    rows = [{"text": text, "label": label, "part": part, "who": who} for text, label, part, who in ROWS]
    contents: dict[str, bytes | str] = {
        "a.csv": CSV,
        "b.jsonl": "\n".join(json.dumps(row) for row in rows) + "\n\n",
        "c.tsv": 'text\tlabel\tpart\twho\n"quoted\tpos\ttest\tx\n',
        "e.md": "x",
    }
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    contents |= {"d.parquet": sink.getvalue(), "e.parquet.gz": gzip.compress(sink.getvalue())}
    write(tmp_path / "folder", contents)
    for source in (tmp_path / "folder", pack(tmp_path / "a.zip", contents), pack(tmp_path / "a.tgz", contents)):
        items = read(source, **TABLE, split="part", group="who")
        assert [row.reason for row in items if isinstance(row, Refused)] == [
            "not a table (.csv, .tsv, .jsonl, .ndjson, .parquet)"
        ]
        good = [row for row in items if isinstance(row, Example)]
        expected = sorted([*ROWS * 4, ('"quoted', "pos", "test", "x")], key=str)
        assert sorted(columns(good), key=str) == expected


def test_labels_that_are_no_text(tmp_path):
    table = pa.table({"text": ["a", "b", "c"], "label": [1.0, float("nan"), None], "n": [1, 2, None]})
    pq.write_table(table.append_column("b", pa.array([True, False, None])), tmp_path / "a.parquet")
    for label, expected in (("label", ["1"]), ("n", ["1", "2"]), ("b", ["true", "false"])):
        items = read(tmp_path / "a.parquet", format="table", text="text", label=label)
        assert [row.label for row in items if isinstance(row, Example)] == expected
        assert {row.reason for row in items if isinstance(row, Refused)} == {"its label is empty"}


def test_rows_that_are_no_example(tmp_path):
    rows = 'a,pos,train\na,pos\na,pos,train,x\n ,pos,train\na, ,train\na,pos,tset\na\0,pos,\n\'a"b,pos,\n\n"a"b,pos,\n'
    write(tmp_path, {"a.csv": "text,label,part\n" + rows})
    assert refused(tmp_path / "a.csv", **TABLE, split="part") == {
        "has fewer cells than the header": "row 3",
        "has more cells than the header": "row 4",
        "its text is empty": "row 5",
        "its label is empty": "row 6",
        "its split is none of train, validation, test, shifted": "row 7",
        "its text holds a NUL byte or a lone surrogate": "row 8",
        "its quotes are wrong": "row 11",
    }


def test_lines_of_json_that_are_no_example(tmp_path):
    lines = ['{"text": "a"}', '{"text": "a", "label"', "[1]", '{"text": ["a"], "label": 1}', "[" * 100_000]
    lines.append('{"text": "\\ud800", "label": 1}')
    write(tmp_path, {"a.jsonl": "\n".join(lines)})
    assert refused(tmp_path / "a.jsonl", **TABLE) == {
        "has no key label": "row 1",
        "is not JSON": "row 5",
        "is not a JSON object": "row 3",
        "its text is neither a text nor a number": "row 4",
        "its text holds a NUL byte or a lone surrogate": "row 6",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "txt,label\na,b\n", r"has no column text \(its columns: txt, label\)"),
        ("a.csv", "text,label,text\n", "has 2 columns named text"),
        ("a.csv", "", "its first line must name the columns text, label"),
        ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', "row 3: a quote is opened here"),
        ("a.csv", 'text,label\na,b\n"c,d\n"e,f\n', "row 3: a quote is opened here"),
        ("a.csv", b"text,label\na,b\nc\xe9,d\n", "is not UTF-8 .line 3, byte 17 of the file.: save it as UTF-8"),
        ("a.csv", "text,label\na,b\n".encode("utf-16")[:-1], "is not UTF-16"),
        ("a.csv", "te\0xt,label\n", "its first line holds NUL bytes: save it as UTF-8"),
        ("a.csv.gz", "text,label\na,b\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"text,label\na,b\n", mtime=0)[:-9], "cannot be read"),
        ("a.xlsx", "PK", "is not a table: its name must end with .csv, .tsv"),
        ("a.parquet", "", "cannot be read"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1", "cannot be read"),
    ],
)
def test_tables_of_no_use(tmp_path, name, content, message):
    write(tmp_path, {name: content})
    fails(tmp_path / name, message, **TABLE)


def test_any_damage_to_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "žž"] * 50, "label": ["x", "y"] * 50}), path)
    good, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[random.integers(0, len(bad), 2)] = random.integers(0, 256, 2)
        path.write_bytes(bad.tobytes())
        try:
            read(path, **TABLE)
        except UserError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


def test_long_cells(tmp_path):
    write(tmp_path, {"a.csv": f"text,label\n{'x' * 1_000_000},b\n"})
    assert len(examples(tmp_path / "a.csv", **TABLE)[0].content) == 1_000_000


def test_a_table_is_streamed(tmp_path):
    write(tmp_path, {"a.csv.gz": gzip.compress(b"text,label\n" + b"some text to read,label\n" * 200_000)})
    options = {"source": str(tmp_path / "a.csv.gz"), **TABLE}
    imports = "from pydantic import TypeAdapter\nfrom pipeline.readers import Reader\n"
    make = f"reader = TypeAdapter(Reader).validate_python({options!r})"
    rows, peak = peak_memory(imports + make, "sum(1 for _, _ in zip(reader.read(), range(20_000)))")
    assert rows == 20_000
    assert peak < 5e6


PICTURES = {"format": "table", "image": "file", "label": "label"}


def test_a_table_of_pictures(tmp_path):
    write(tmp_path, {"t/p/1.png": picture(), "t/p/cut.jpg": picture("JPEG")[:300], "out.png": picture()})
    names = ["p/1.png", "p/cut.jpg", "../out.png", str(tmp_path / "out.png"), "p", "none.png", "x" * 5000, ""]
    names += ["p\\1.png", r"C:\p\1.png", "https://example.org/1.png"]
    write(tmp_path, {"t/a.csv": "file,label\n" + "".join(f"{name},x\n" for name in names)})
    items = read(tmp_path / "t", **PICTURES)
    assert items[0] == Example(f"{tmp_path}/t/a.csv row 2", picture(), "x")
    outside, missing = "its image lies outside the table's folder", "its image does not exist"
    assert [row.reason for row in items if isinstance(row, Refused)] == [
        "its image is not a readable PNG, JPEG or WebP image",
        outside,
        outside,
        missing,
        missing,
        missing,
        "its image is empty",
        outside,
        "its image is an address, not a file: download the images, and write their paths",
    ]
    assert items[-3] == Example(f"{tmp_path}/t/a.csv row 10", picture(), "x")
    fails(pack(tmp_path / "a.zip", {"a.csv": "file,label\n1.png,x\n"}), "in an archive: unpack it", **PICTURES)


def test_pictures_within_parquet(tmp_path):
    for cells in ([picture(), b""], [{"bytes": picture(), "path": "x"}, {"bytes": b"", "path": None}]):
        pq.write_table(pa.table({"file": cells, "label": [3, 4]}), tmp_path / "a.parquet")
        good, bad = read(tmp_path / "a.parquet", **PICTURES)
        assert good == Example(f"{tmp_path}/a.parquet row 1", picture(), "3")
        assert bad == Refused(f"{tmp_path}/a.parquet row 2", "its image is empty")


@pytest.mark.parametrize("options", [{}, {"text": "a", "image": "b"}])
def test_a_table_has_texts_or_pictures(options):
    with pytest.raises(ValidationError, match="must name a column either as text or as image"):
        TypeAdapter(Reader).validate_python({"source": "x", "format": "table", "label": "label"} | options)


def labels_of(folder: Path, content: str, **reader: Any) -> list[Any]:
    """The label of each row, or why it is refused."""
    (folder / "rows.csv").write_text(content)
    items = table.Reader(source=str(folder), format="table", text="text", **reader).read()
    return [item.label if isinstance(item, Example) else item.reason for item in items]


def test_several_labels_in_a_cell(tmp_path):
    content = 'text,found\na,x|y\nb,\nc," y | y |"\n'
    assert labels_of(tmp_path, content, labels="found", separator="|") == [("x", "y"), (), ("y",)]
    with pytest.raises(UserError, match=r"rows.csv row 2: its labels are the text 'x\|y', not a list: set separator"):
        labels_of(tmp_path, content, labels="found")


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['a', 'b']", ("a", "b")),  # pandas
        ("['a' 'b']", ("a", "b")),  # NumPy
        ('["a", null, "b"]', ("a", "b")),  # JSON
        ("('a',)", ("a",)),
        ("[1, 2.0]", ("1", "2")),
        ("[]", ()),
        ("set()", ()),
        ("[a], (b)", ("[a]", "(b)")),
        ("(a), {b}", ("(a)", "{b}")),
    ],
)
def test_lists_that_are_written_out(tmp_path, cell, labels):
    pd.DataFrame({"text": ["x"], "tags": [cell]}).to_csv(tmp_path / "a.csv", index=False)
    options = {"format": "table", "text": "text", "labels": "tags", "separator": ","}
    assert [item.label for item in examples(tmp_path, **options)] == [labels]


def test_a_column_for_each_label(tmp_path):
    content = "text,x,y\na,1,0\nb,no,yes\nc,2,1\nd,,1\n"
    expected = [("x",), ("y",), "its column x is '2', neither 0 nor 1", "its column x is empty"]
    assert labels_of(tmp_path, content, labels=["x", "y"]) == expected


def test_numbers(tmp_path):
    content = 'text,price\na,1.5\nb,-2e3\nc,cheap\nd,\ne,nan\nf,1e300\ng,"1,5"\nh,2020_01\n'
    assert labels_of(tmp_path, content, targets="price") == [
        {"price": 1.5},
        {"price": -2000.0},
        "its target price is 'cheap', not a number",
        "its target price is empty",
        "its target price is 'nan', not a number",
        "its target price is 1e300, too large to be learnt",
        "its target price is '1,5', not a number: if its comma stands before decimals, set decimal to ','",
        "its target price is '2020_01', not a number",
    ]


def test_numbers_with_decimal_commas(tmp_path):
    content = "text;price\na;1,5\nb;-2e3\nc;1.234,50\nd;1.234.567\ne;1.234\nf;0.5\ng;1,234,567\nh;7\ni;,5\nj;007,5\n"
    assert labels_of(tmp_path, content, targets="price", decimal=",") == [
        {"price": 1.5},
        {"price": -2000.0},
        {"price": 1234.5},
        {"price": 1234567.0},
        {"price": 1234.0},
        "its target price is '0.5', not a number: with decimal ',', a point stands between thousands",
        "its target price is '1,234,567', not a number",
        {"price": 7.0},
        "its target price is ',5', not a number",
        "its target price is '007,5', not a number",
    ]
    write(tmp_path, {"other/a.jsonl": '{"text": "a", "price": 1.5}\n{"text": "b", "price": "2,5"}\n'})
    items = examples(tmp_path / "other", format="table", text="text", targets="price", decimal=",")
    assert [item.label for item in items] == [{"price": 1.5}, {"price": 2.5}]


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ({"targets": ["price", "price"]}, "names the column price twice"),
        ({"targets": []}, "must name a column, or a list of columns"),
        ({"label": "a", "labels": "b"}, "must name columns as one of label, labels and targets, and no more"),
        ({}, "must name columns as one of label, labels and targets, and no more"),
        ({"label": "a", "decimal": ","}, "decimal is for numbers: name their columns as targets"),
        ({"labels": ["a", "b"], "separator": "|"}, "separator stands between labels in the cells of one column"),
    ],
)
def test_columns_that_do_not_fit(reader, message):
    with pytest.raises(ValidationError, match=message):
        table.Reader.model_validate({"source": "x", "format": "table", "text": "text", **reader})


def test_columns_of_the_user_are_kept_as_slices(tmp_path):
    write(tmp_path, {"a.csv": "text,label,shop,age\nfine,a,north, 7 \nbad,b,,\n"})
    items = examples(tmp_path / "a.csv", **TABLE, slices=["shop", "age", "label"])
    assert [one.slices for one in items] == [
        {"shop": "north", "age": "7", "label": "a"},
        {"shop": "", "age": "", "label": "b"},
    ]
    fails(tmp_path / "a.csv", "when", **TABLE, slices="when")
