"""Any source becomes tables and a report; a bad one is one clear line, and what was refused is counted."""

import json
import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from imports import TOP
from PIL import Image
from ruamel.yaml import YAML

from pipeline.runtime.errors import UserError
from pipeline.stages import prepare, preprocess, runner

TEXT = {
    "tokenizer": "words",
    "vocabulary": 100,
    "normalisation": "none",
    "lowercase": True,
    "max_length": 8,
    "keep": "start",
}
IMAGE = {"height": 8, "width": 8, "colour": "grey", "resize": "exact", "margin": 0}
WORDS = {"vocabulary": 100, "lowercase": True, "max_length": 8, "word_length": 6}

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A folder with a params.yaml whose chosen dataset is the source `data/raw/mine`, read as the arguments say."""
    monkeypatch.chdir(tmp_path)

    def _make(reader: dict[str, Any], *, task: str, preprocessing: dict[str, Any], model: str, **others: Any) -> Path:
        content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
        section = {
            "task": task,
            "reader": reader,
            "source": "data/raw/mine",
            "split": {"validation": 0.2, "test": 0.2},
            "max_bad_rows": 0,
            "class_weights": "none",
            "preprocessing": preprocessing,
        }
        content |= {"dataset": "mine", "model": model}
        content["datasets"] = {"mine": section | others}
        with (tmp_path / "params.yaml").open("w") as file:
            YAML().dump(content, file)
        shutil.copyfile(TOP / "dvc.yaml", tmp_path / "dvc.yaml")
        (tmp_path / "data/raw/mine").mkdir(parents=True, exist_ok=True)
        return tmp_path / "data/raw/mine"

    return _make


def texts(make: Make, rows: list[tuple[str, ...]], header: str = "text,label", **others: Any) -> Path:
    reader = {"name": "table", **{name: name for name in header.split(",")}}
    folder = make(reader, task="text-classification", preprocessing=TEXT, model="linear", **others)
    (folder / "rows.csv").write_text("\n".join([header, *(",".join(row) for row in rows)]))
    return folder


def letters(n: int) -> str:
    """A word for a number: digits would be normalised away."""
    return "".join("abcdefghij"[int(digit)] for digit in str(n))


GOOD = [(f"this is {letters(i)}", "yes" if i % 2 else "no") for i in range(60)]


def report() -> dict[str, Any]:
    return json.loads(Path("data/prepared/report.json").read_text())


def run(module: ModuleType) -> None:
    """The stage, as DVC would run it, in this process."""
    runner.once(module.__name__.rpartition(".")[2], module.main, module.Params)


def failure(module: ModuleType = prepare) -> str:
    with pytest.raises(UserError) as caught:
        run(module)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_texts(make):
    texts(make, GOOD)
    run(prepare)
    splits = report()["splits"]
    assert sum(split["examples"] for split in splits.values()) == 60
    assert set(splits) == {"train", "validation", "test"}
    assert not Path("data/prepared/spool.parquet").exists()
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


def test_a_label_in_test_that_training_lacks(make):
    rows = [(*row, "train") for row in GOOD] + [("what is this", "maybe", "test")]
    texts(make, rows, header="text,label,split")
    assert "the test split has the label 'maybe', which training lacks: add training examples" in failure()


def test_no_example_left_for_a_split(make):
    texts(make, [(*row, "train") for row in GOOD], header="text,label,split", split={"validation": 0.2})
    assert "no example is left for the test split; set or raise datasets.mine.split.test" in failure()


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


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "data/raw/missing",
            "datasets.mine.source: data/raw/missing: no such file or folder; put it there",
        ),
        ("elsewhere", "elsewhere is not inside data/raw/"),
        ("data/raw/../secret", "is not inside data/raw/"),
    ],
)
def test_no_such_source(make, source, message):
    texts(make, GOOD, source=source)
    assert message in failure()


def test_an_empty_source(make):
    make({"name": "text"}, task="text-classification", preprocessing=TEXT, model="linear")
    assert "holds no file" in failure()


def test_an_archive_that_climbs_out(make):
    folder = make({"name": "text"}, task="text-classification", preprocessing=TEXT, model="linear")
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
    folder = make({"name": "image-folder"}, task="image-classification", preprocessing=IMAGE, model="cnn")
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
    folder = make({"name": "image-folder"}, task="image-classification", preprocessing=IMAGE, model="cnn")
    pictures(folder, 5)
    (folder / "c").mkdir()
    assert "data/raw/mine/c" in failure()


def test_tagged_sentences(make):
    folder = make({"name": "conll"}, task="sequence-tagging", preprocessing=WORDS, model="lstm")
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


def test_a_task_that_does_not_fit_what_is_read(make):
    texts(make, GOOD)
    run(prepare)
    params = Path("params.yaml").read_text()
    content = YAML(typ="safe").load(params)
    content["datasets"]["mine"] |= {"task": "sequence-tagging", "preprocessing": WORDS}
    content["model"] = "lstm"
    with Path("params.yaml").open("w") as file:
        YAML().dump(content, file)
    assert "sequence-tagging needs examples with words, but the reader yields text" in failure(preprocess)
