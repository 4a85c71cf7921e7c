"""One spelling for each class, whatever the types, encodings and files it comes in."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources import examples, picture, read, write

from pipeline.readers import Refused, class_names

TABLE = {"format": "table", "text": "text", "label": "label"}


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ((1, "1", 1.0, "1.0", Decimal("1.00"), " 1 "), "1"),
        ((True, "true", "True", "TRUE"), "true"),
        ((-2.0, "-2.00"), "-2"),
        ((1.5, "1.5", Decimal("1.5")), "1.5"),
        (("1.10", " 1.10"), "1.10"),
        (("e\u0301", "é", "\ufeffé\u200b", "\u200cé\u200d "), "é"),
        (("मक्\u200cमन",), "मक्\u200cमन"),  # the joiner belongs to the word
        ((1e300,), "1e+300"),
        (("a\nb", "a\rb", "a\r\nb"), "a\nb"),
    ],
)
def test_of_a_cell(cells, name):
    assert {class_names.of(cell) for cell in cells} == {name}


def test_of_tables_of_any_type(tmp_path):
    rows = [1, "1", 1.0, True, "true", None]
    write(tmp_path, {"a.jsonl": "".join(f"{json.dumps({'text': 'a', 'label': label})}\n" for label in rows)})
    for name, kind in (("b", pa.int8()), ("c", pa.float32()), ("d", pa.string()), ("e", pa.decimal128(5, 2))):
        table = pa.table({"text": ["a"], "label": pa.array(["1"]).cast(kind)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"text": ["a"], "label": pa.array([0.1], pa.float32())}), tmp_path / "f.parquet")
    write(tmp_path, {"g.csv": "text,label\na,0.1\nb,true\nc,1.0\n"})
    items = read(tmp_path, **TABLE)
    assert [item.reason for item in items if isinstance(item, Refused)] == ["its label is empty"]
    labels = [item.label for item in items if not isinstance(item, Refused)]
    assert labels == ["1", "1", "1", "true", "true", *["1"] * 4, "0.1", "0.1", "true", "1"]


def test_folders_and_tags(tmp_path):
    write(tmp_path, {"a/e\u0301/1.png": picture(seed=1), "a/é/2.png": picture(seed=2)})
    write(tmp_path, {"b/e\u0301/1.txt": "a", "b/é/2.txt": "b"})
    write(tmp_path, {"c/e\u0301/1.eml": "Subject: a\n\n", "c/é/2.eml": "Subject: b\n\n"})
    write(tmp_path, {"d": "a B-é\n\nb B-e\u0301\u200b\n", "e": "a/é\nb/e\u0301\n"})
    for name, form in zip("abcde", ("image-folder", "text", "mail", "conll", "slash-tagged")):
        items = examples(tmp_path / name, format=form)
        assert len({str(item.label) for item in items}) == 1
        assert [item.changed is None for item in items].count(False) == 1


def class_label(names: list[str], **around: Any) -> dict[str, str]:
    feature = {"names": names, "_type": "ClassLabel"}
    features = {"label": {"feature": feature, "_type": "List"} if around else feature, "text": {"dtype": "string"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def test_class_names_in_the_schema_of_parquet(tmp_path):
    table = pa.table({"text": ["a", "b", "c", "d"], "label": [1, 0, -1, 7]})
    pq.write_table(table.replace_schema_metadata(class_label(["neg", "pos"])), tmp_path / "a.parquet")
    items = read(tmp_path / "a.parquet", **TABLE)
    assert [getattr(item, "label", "") or getattr(item, "reason", "") for item in items] == [
        "pos",
        "neg",
        "its label is empty",
        "its label has no name in the table's schema",
    ]
    table = pa.table({"text": ["a", "b"], "label": [[0, 1], []]})
    pq.write_table(table.replace_schema_metadata(class_label(["x", "y"], several=True)), tmp_path / "a.parquet")
    items = examples(tmp_path / "a.parquet", format="table", text="text", labels="label")
    assert [item.label for item in items] == [("x", "y"), ()]
    named, number = {"names": ["neg", "pos"], "_type": "ClassLabel"}, {"num_classes": 2, "_type": "ClassLabel"}
    table = pa.table({"text": ["a", "b"], "label": [0, 1], "more": [[0], [1]]})
    for other in ([{"dtype": "string"}], number, {"dtype": "string"}, [], None):  # nothing that hides the label's names
        features = {"label": named, "text": other, "more": [named]}
        schema = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(schema), tmp_path / "a.parquet")
        assert [item.label for item in examples(tmp_path / "a.parquet", **TABLE)] == ["neg", "pos"]
    items = examples(tmp_path / "a.parquet", format="table", text="text", labels="more")
    assert [item.label for item in items] == [("neg",), ("pos",)]


def test_names_that_are_nearly_the_same():
    names = ["Spam", "spam", "a b", "a\u00a0b", "ham", "two", "2"]
    assert class_names.note(names, "classes") == (
        "classes that differ only in case or whitespace: 'Spam' and 'spam'; 'a b' and 'a\\xa0b': "
        "spell them alike if they mean the same"
    )
    assert class_names.note(["ham", "spam"], "classes") is None
    assert class_names.note(names, None) is None
    assert class_names.missing({"nan": 3, "NULL": 1, "none": 9, "a": 5}, "classes") == (
        "classes that look like missing labels: 'NULL' (1), 'nan' (3): empty those cells if they are"
    )
