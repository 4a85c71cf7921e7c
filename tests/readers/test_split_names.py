"""One language of splits: in the names of folders and files, in splits.csv and in cells, for every reader."""

from typing import Any

import idx_files
import numpy as np
import pytest
from sources import examples, fails, pack, picture, read, write

from pipeline.readers import split_names

WORDS = "a X\nb Y\n"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("TRAIN", "train"),
        ("training_set", "train"),
        ("trn", "train"),
        ("train_val", "train"),
        ("TrainData", "train"),
        ("val2017", "validation"),
        ("Dev", "validation"),
        ("test-00000-of-00001", "test"),
        ("testset", "test"),
        ("Evaluation 2", "test"),
        ("latest", None),
        ("trains", None),
        ("my test", None),
        ("train_test", None),
        ("dataset", None),
    ],
)
def test_what_a_name_says(name, split):
    assert split_names.word(name) == split


SIX = {  # files named so, and the split of each
    "words": {"train.txt": "train", "valid.txt": "validation", "test.txt": "test"},
    "numbers": {"Training_1.txt": "train", "training-2.txt": "train", "Testing.txt": "test"},
    "shards": {"train-00000-of-00002.txt": "train", "test-00000-of-00001.txt": "test"},
    "conll 2003": {"eng.train": "train", "eng.testa": "validation", "eng.testb": "test"},
    "universal dependencies": {"de_x-ud-train.conllu": "train", "de_x-ud-dev.conllu": "validation"},
    "other words": {
        "wnut17train.conll": "train",
        "emerging.dev.x": "validation",
        "emerging.test.annotated": "test",
    },
    "folders": {"Training/x/1.txt": "train", "Testing/x/1.txt": "test"},
    "folders in a folder": {"pack/train/a.txt": "train", "pack/eval/a.txt": "test"},
    "folders twice": {"seg_train/seg_train/a.txt": "train", "seg_test/seg_test/a.txt": "test"},
    "folders in classes": {"a/train/1.txt": "train", "a/test/1.txt": "test", "b/train/2.txt": "train"},
    "a folder before a file": {"train/a_test_1.txt": "train", "test/a_train_1.txt": "test"},
    "no splits": {"hamlet.txt": None, "test_of_time.txt": None, "latest.txt": None},
}


@pytest.mark.parametrize("names", SIX.values(), ids=SIX)
@pytest.mark.parametrize("reader", ["text", "conll"])
def test_names_of_files_and_folders(tmp_path, names, reader):
    write(tmp_path, {name: WORDS + f"{name} Z\n" for name in names})
    found = {e.where.removeprefix(f"{tmp_path}/").partition(" ")[0]: e.split for e in examples(tmp_path, format=reader)}
    assert found == names


ROWS = "text,label\na text,x\nanother,y\n"
EVERY: dict[str, tuple[dict[str, Any], str, bytes | str]] = {
    "table": ({"text": "text", "label": "label"}, "rows.csv", ROWS),
    "conll": ({}, "words.conll", WORDS),
    "slash-tagged": ({}, "ca01", "The/at end/nn\n"),
    "text": ({}, "a/1.txt", "a text"),
    "mail": ({}, "ham/1", "Subject: a\n\nb\n"),
    "image-folder": ({}, "cat/1.png", picture()),
}


@pytest.mark.parametrize("reader", EVERY)
def test_every_reader(tmp_path, reader):
    options, name, content = EVERY[reader]
    folders = {"Training": "train", "dev": "validation", "Test_Set": "test"}
    write(tmp_path / "folders", {f"{folder}/{name}": content for folder in folders})
    (tmp_path / "archives").mkdir()
    for folder in folders:
        pack(tmp_path / "archives" / f"{folder}.zip", {name: content})
    whole = pack(tmp_path / "a.tgz", {f"pack/{folder}/{name}": content for folder in folders})
    for source in (tmp_path / "folders", tmp_path / "archives", whole):
        items = examples(source, format=reader, **options)
        for folder, split in folders.items():
            here = [e for e in items if folder in e.where]
            assert {e.split for e in here} == {split}
            assert here[0].label == (name.split("/")[0] if "/" in name else here[0].label)  # not Training
    write(tmp_path / "folders", {f"other/{name}": content})
    some = r"some of its folders name a split \(.*\) and some do not \(other\): move or rename .*splits.csv"
    fails(tmp_path / "folders", some, format=reader, **options)
    write(tmp_path / "folders", {"splits.csv": "pattern,split\nother/*,train\ntest*,testing\n*,train\n"})
    assert all(e.split for e in examples(tmp_path / "folders", format=reader, **options))


def test_a_folder_before_or_behind_that_of_the_class(tmp_path):
    for folder in ("rose/train", "rose/test", "tulip/train", "tulip/test"):
        write(tmp_path / "a", {f"{folder}/1.png": picture()})
        write(tmp_path / "b", {f"images/{'/'.join(reversed(folder.split('/')))}/1.png": picture()})
    expected = [(label, split) for label in ("rose", "tulip") for split in ("test", "train")]
    for source in ("a", "b"):
        items = examples(tmp_path / source, format="image-folder")
        assert sorted((e.label, e.split) for e in items) == expected


def test_a_folder_alone_around_the_splits_is_no_class(tmp_path):
    texts = {f"acl/{split}/{kind}/1.txt": f"{split} {kind}" for split in ("train", "test") for kind in ("neg", "pos")}
    path = pack(tmp_path / "a.tgz", texts | {"acl/train/urls.txt": "x"})
    found = {(e.label, e.split) for e in examples(path, format="text")}
    assert found == {(kind, split) for split in ("train", "test") for kind in ("neg", "pos")} | {("", "train")}
    write(tmp_path, {"b/acl/imdb.vocab": "x", **{f"b/{name}": content for name, content in texts.items()}})
    assert {(e.label, e.split) for e in examples(tmp_path / "b", format="text")} == found - {("", "train")} | {
        ("", None)
    }


def test_files_that_name_splits_beside_others(tmp_path):
    write(tmp_path, {"train.csv": ROWS, "test.csv": ROWS, "sample_submission.csv": "id,label\n"})
    some = r"some of its files name a split \(test.csv, train.csv\) and some do not \(sample_submission.csv\)"
    fails(tmp_path, some, format="table", text="text", label="label")
    write(tmp_path / "ptb", {"ptb.train.txt": "a", "ptb.test.txt": "b", "ptb.vocab.txt": "c"})
    fails(tmp_path / "ptb", "some of its files name a split", format="text")
    write(tmp_path / "works", {"hamlet.txt": "a", "test.txt": "b"})  # each file is an example
    assert [e.split for e in examples(tmp_path / "works", format="text")] == [None, None]
    assert [e.split for e in examples(tmp_path / "test.csv", format="table", text="text", label="label")] == [None] * 2


def test_cells_that_name_splits(tmp_path):
    cells = ["Training", "TEST set", "dev", "", "rest"]
    write(tmp_path, {"a.csv": "text,label,part\n" + "".join(f"a {i},x,{cell}\n" for i, cell in enumerate(cells))})
    items = read(tmp_path / "a.csv", format="table", text="text", label="label", split="part")
    assert [e.split for e in items[:-1]] == ["train", "test", "validation", None]  # type: ignore[union-attr]
    assert items[-1].reason == "its split is none of train, validation, test, shifted"  # type: ignore[union-attr]


def test_the_first_pattern_that_fits_tells_the_split(tmp_path):
    write(tmp_path, {"splits.csv": "pattern,split\na/*,train\r\n*.eml,test\nz*,Dev\n", "a/x.eml": "1", "b/y": "2"})
    assert [e.split for e in examples(tmp_path, format="text")] == ["train", None]
    write(tmp_path, {"splits.csv": "pattern;split\r\na\\x*;test\r\n"})  # as Windows and Excel write it
    assert [e.split for e in examples(tmp_path, format="text")] == ["test", None]
    classes = write(tmp_path / "c", {"train/1.png": picture(), "car/1.png": picture(), "splits.csv": "pattern,split\n"})
    assert [(e.label, e.split) for e in examples(classes, format="image-folder")] == [("car", None), ("train", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its first line must be pattern,split"),
        ("a,b\n", "its first line must be pattern,split"),
        ("pattern,split\na,train\nb,rest\n", "row 3: must be a pattern, a comma and one of train, validation"),
        ("pattern,split\na\n", "row 2: must be"),
        (b"pattern,split\n\xff,train\n", "is not UTF-8"),
    ],
)
def test_wrong_splits(tmp_path, content, message):
    write(tmp_path, {"splits.csv": content, "a": "x"})
    for name in ("text", "mail", "conll", "slash-tagged", "image-folder"):
        fails(tmp_path, rf"splits\.csv.*{message}", format=name)


def test_idx_files_of_other_names(tmp_path):
    pixels, labels = (np.zeros(shape, np.uint8) for shape in ((3, 2, 2), 3))
    for name in ("emnist-letters-train", "emnist-letters-test"):
        write(tmp_path, {f"{name}-images-idx3-ubyte": idx_files.pack(pixels)})
        write(tmp_path, {f"{name}-labels.idx1-ubyte": idx_files.pack(labels)})
    assert [e.split for e in examples(tmp_path, format="idx")] == ["train"] * 3 + ["test"] * 3
