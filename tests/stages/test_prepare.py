"""Any source becomes tables and a report; a bad one is one clear line, and what was refused is counted."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from one_source import GOOD, IMAGE, TEXT, WORDS, Make, failure, letters, report, run, texts
from PIL import Image
from ruamel.yaml import YAML
from sources import write

from pipeline.config import paths
from pipeline.runtime.hashes import sha256
from pipeline.stages import prepare, preprocess


def test_texts(make):
    texts(make, GOOD)
    run(prepare)
    splits = report()["splits"]
    assert sum(split["examples"] for split in splits.values()) == 60
    assert set(splits) == {"train", "validation", "test"}
    assert not Path("data/prepared/spool.parquet").exists()
    for row in pq.read_table("data/prepared/test.parquet").to_pylist():  # each can be found where it was read
        assert row["text"] == GOOD[int(row["source"].removeprefix("data/raw/mine/rows.csv row ")) - 2][0]
    run(preprocess)
    assert np.load("data/features/train/targets.npy").shape == (splits["train"]["examples"],)


def test_rows_that_are_refused_are_counted_and_may_be_allowed(make):
    texts(make, [*GOOD, (" ", "yes"), ("", "no"), ("no label", "")])
    message = failure()
    assert "rows.csv row 62: its text is empty; 3 rows or files cannot be used, and max_bad_rows allows 0" in message
    refused = report()["refused"]
    assert refused["its text is empty"]["count"] == 2
    assert len(refused["its text is empty"]["examples"]) == 2
    texts(make, [*GOOD, *[("", "yes")] * 9], max_bad_rows=9)
    run(prepare)
    assert report()["refused"]["its text is empty"]["count"] == 9
    assert len(report()["refused"]["its text is empty"]["examples"]) == 5


def test_one_class_only(make):
    texts(make, [(text, "yes") for text, _ in GOOD])
    assert "every training example has the label 'yes'; at least two labels are needed" in failure()


def test_labels_in_test_that_training_lacks_are_named_at_once(make):
    rows = [(*row, "train") for row in GOOD] + [("what is this", "maybe", "test")]
    rows += [("who is this", "never", "test"), ("where is this", "never", "validation")]
    texts(make, rows, header="text,label,split")
    named = "'never' in the validation split; 'maybe', 'never' in the test split: add training examples of each"
    assert f"training lacks labels that are held out: {named}" in failure()


@pytest.mark.parametrize("label", ["", "-1", None], ids=["empty", "-1", "no column"])
def test_a_test_split_without_labels(make, capsys, label):
    folder = texts(make, [])
    (folder / "rows.csv").unlink()
    hidden = [f"that is {letters(i)}" + ("" if label is None else f",{label}") for i in range(9)]
    test = "\n".join(["text" if label is None else "text,label", *hidden])
    train = "\n".join(["text,label", *(",".join(row) for row in GOOD)])
    write(folder, {"train.csv": train, "test.csv": test})
    run(prepare)
    assert sum(split["examples"] for split in report()["splits"].values()) == 60
    assert report()["unlabelled"]["in test, a split without labels"]["count"] == (1 if label is None else 9)
    assert "note: in test, a split without labels: " in capsys.readouterr().out
    write(folder, {"test.csv": f"{test}\na text,yes"} if label else {})
    if label:  # one label: then -1 is a class
        assert "training lacks labels that are held out: '-1' in the test split" in failure()


def test_a_source_that_holds_out_all(make):
    folder = texts(make, GOOD)
    (folder / "rows.csv").rename(folder / "test.csv")
    assert "its names or cells hold out all of its examples: name some of them train" in failure()


def test_texts_that_differ_only_in_digits(make):
    rows = [(f"item {i}", "yes" if i % 2 else "no") for i in range(60)]
    texts(make, rows)
    assert "in case, digits or punctuation, and so stay together; set datasets.mine.data.duplicates to ex" in failure()
    texts(make, rows, duplicates="exact", stratify=True)
    run(prepare)
    splits = report()["splits"]
    assert [splits[name]["examples"] for name in ("train", "validation", "test")] == [36, 12, 12]
    assert splits["test"]["labels"] == {"no": 6, "yes": 6}


def test_no_example_left_for_a_split(make):
    texts(make, [(*row, "train") for row in GOOD[:2]], header="text,label,split")
    assert "no example is left for the validation split; raise datasets.mine.data.validation" in failure()


def test_examples_of_one_group_are_not_said_to_be_too_few(make):
    texts(make, [(*row, "one") for row in GOOD], header="text,label,group")
    assert "all are in one group, a file or what the column `group` names, and no group is divided" in failure()


def test_the_harder_test_split_of_a_column(make):
    rows = [(*row, "shifted" if i > 50 else "") for i, row in enumerate(GOOD)]
    texts(make, rows, header="text,label,split")
    run(prepare)
    assert report()["splits"]["shifted"]["examples"] == 9
    run(preprocess)
    assert len(np.load("data/features/test/shifted/targets.npy")) == 9


def test_a_second_run_leaves_nothing_of_the_first(make):
    texts(make, [(*row, "shifted" if i > 50 else "") for i, row in enumerate(GOOD)], header="text,label,split")
    run(prepare)
    texts(make, GOOD)
    run(prepare)
    assert not Path("data/prepared/shifted.parquet").exists()


def test_duplicates_are_dropped_and_counted(make):
    rows = [(*row, "train") for row in GOOD] + [("This is... B 1!", "yes", "test"), ("this is c", "no", "test")]
    texts(make, rows, header="text,label,split")
    run(prepare)
    dropped = report()["dropped"]
    assert dropped["in train, identical to one in test"]["count"] == 1
    assert dropped["in train, nearly identical to one in test"]["count"] == 1
    assert all("rows.csv row" in where for reason in dropped.values() for where in reason["examples"])


def test_an_empty_source(make):
    make({"format": "text"}, task="classification", preprocessing=TEXT, model="linear")
    assert "holds no file" in failure()


def test_a_text_in_no_folder_has_no_class(make):
    folder = make({"format": "text"}, task="classification", preprocessing=TEXT, model="linear")
    write(folder, {f"{label}/{text}.txt": text for text, label in GOOD} | {"urls.txt": "http://x"})
    assert "data/raw/mine/urls.txt: lies in no class folder; one row or file cannot be used" in failure()


def test_an_archive_that_climbs_out(make):
    folder = make({"format": "text"}, task="classification", preprocessing=TEXT, model="linear")
    with tarfile.open(folder / "a.tar", "w") as archive:
        member = tarfile.TarInfo("../../evil.txt")
        member.size = 4
        archive.addfile(member, BytesIO(b"evil"))
    assert "climbs out of the archive" in failure()
    assert not list(folder.parents[3].glob("**/evil.txt"))


def pictures(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        (folder / kind).mkdir()
        for i in range(count):
            pixels = random.integers(0, 256, (random.integers(5, 20), 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{i}.jpg")


def test_images(make):
    folder = make({"format": "image-folder"}, task="classification", preprocessing=IMAGE, model="cnn")
    pictures(folder, 20)
    (folder / "a/empty.png").write_bytes(b"")
    (folder / "a/cut.jpg").write_bytes((folder / "a/1.jpg").read_bytes()[:300])
    assert "2 rows or files cannot be used" in failure()
    assert {where for reason in report()["refused"].values() for where in reason["examples"]} == {
        "data/raw/mine/a/empty.png",
        "data/raw/mine/a/cut.jpg",
    }
    (folder / "a/empty.png").unlink()
    (folder / "a/cut.jpg").unlink()
    run(prepare)
    run(preprocess)
    assert np.load("data/features/train/images.npy").shape[1:] == (8, 8, 1)


def test_an_empty_class_folder(make):
    folder = make({"format": "image-folder"}, task="classification", preprocessing=IMAGE, model="cnn")
    pictures(folder, 5)
    (folder / "c").mkdir()
    assert "data/raw/mine/c" in failure()


def test_tagged_sentences(make):
    folder = make({"format": "conll"}, task="sequence-tagging", preprocessing=WORDS, model="lstm")
    sentences = [
        f"the DT\n{letters(i)} {'NN' if i % 2 else 'VB'}\n" + ". .\n" * (12 if i == 7 else 1) for i in range(60)
    ]
    (folder / "all.conll").write_text("\n".join(sentences))
    run(prepare)
    run(preprocess)
    starts = np.load("data/features/train/starts.npy")
    words = sum(len(row) for row in pq.read_table("data/prepared/train.parquet")["words"].to_pylist())
    assert starts[-1] == words == len(np.load("data/features/train/targets.npy"))
    assert np.diff(starts).max() <= 8  # the long sentence is cut, not cut off
    (folder / "all.conll").write_text("\n".join([*sentences, "word"]))
    assert "a line has no tag" in failure()


def tagged(make: Make, **files: str) -> None:
    folder = make({"format": "conll"}, task="sequence-tagging", preprocessing=WORDS, model="lstm")
    usual = {name: "\n".join(f"the DT\n{name}{letters(i)} NN\n" for i in range(20)) for name in paths.SPLITS[:3]}
    write(folder, {f"{name}.conll": text for name, text in (usual | files).items()})


def test_a_tag_that_training_lacks(make, capsys):
    """What training reads does not depend on it; the split that has it numbers it after the labels."""
    tagged(make)
    run(prepare)
    run(preprocess)
    assert np.load("data/features/test/unseen_tags.npy").tolist() == []
    read_by_training = ("task.json", *(f"train/{path.name}" for path in Path("data/features/train").iterdir()))
    before = {name: sha256(Path("data/features", name)) for name in read_by_training}
    tagged(make, test="the DT\nodd NEW\nend NN\n\nodd NEW\nother AFTER\n")
    run(prepare)
    note = "note: in the test split 2 words have the tag 'NEW', which training lacks: counted as errors, left out of"
    assert note in capsys.readouterr().out
    assert report()["splits"]["test"]["labels_that_training_lacks"] == {"AFTER": 1, "NEW": 2}
    assert "labels_that_training_lacks" not in report()["splits"]["validation"]
    run(preprocess)
    assert {name: sha256(Path("data/features", name)) for name in read_by_training} == before
    assert json.loads(Path("data/features/task.json").read_text())["labels"] == ["DT", "NN"]
    assert np.load("data/features/test/unseen_tags.npy").tolist() == ["AFTER", "NEW"]
    assert sorted(np.load("data/features/test/targets.npy").tolist()) == [0, 1, 2, 3, 3]
    features = json.loads(Path("data/features/report.json").read_text())
    assert features["test"]["unseen_tags"] == {"AFTER": 1, "NEW": 2}


def test_a_split_whose_tags_all_lack_in_training(make):
    tagged(make, test="odd NEW\n")
    assert "the test split has the tag 'NEW', which training lacks: add training examples of it" in failure()


def test_a_task_that_does_not_fit_what_is_read(make):
    texts(make, GOOD)
    run(prepare)
    params = Path("params.yaml").read_text()
    content = YAML(typ="safe").load(params)
    content["datasets"]["mine"] |= {"task": {"name": "sequence-tagging"}, "preprocessing": WORDS}
    content["model"] = "lstm"
    with Path("params.yaml").open("w") as file:
        YAML().dump(content, file)
    assert "sequence-tagging needs examples with words, but the reader yields text" in failure(preprocess)


def test_numbers_taken_for_classes(make):
    texts(make, [(f"this is {letters(i)}", str(i / 7)) for i in range(100)])
    assert "or, if the labels are numbers to estimate, choose the task regression" in failure()


def test_labels_that_are_several(make, capsys):
    reader = {"format": "table", "text": "text", "labels": "label", "separator": "|"}
    folder = make(reader, task="multi-label-classification", preprocessing=TEXT, model="linear")
    rows = [f"this is {letters(i)},{'a;b' if i % 2 else 'b;c'}" for i in range(60)]
    (folder / "rows.csv").write_text("\n".join(["text,label", *rows]))
    run(prepare)
    assert "note: labels such as 'a;b' look like several: check separator" in capsys.readouterr().out


def test_what_is_changed_is_counted(make, capsys):
    texts(make, [*GOOD, ("one more", "e\u0301"), ("and more", "é"), ("no more", "Yes")])
    run(prepare)
    reason = "a label was normalised (1.0 to 1, True to true, Unicode to NFC)"
    assert report()["changed"] == {reason: {"count": 1, "examples": ["data/raw/mine/rows.csv row 62"]}}
    out = capsys.readouterr().out
    assert f"note: {reason}: 1 changed, such as data/raw/mine/rows.csv row 62" in out
    assert "note: classes that differ only in case or whitespace: 'Yes' and 'yes': spell them alike" in out
