"""Any source becomes tables and a report; a bad one is one clear line, and what was refused is counted."""

import json
import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import clone
import numpy as np
import pyarrow.parquet as pq
import pytest
from imports import TOP
from PIL import Image
from ruamel.yaml import YAML
from sources import write

from pipeline.config import paths
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
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
    """A word for a number: digits would be ignored."""
    return "".join("abcdefghij"[int(digit)] for digit in str(n))


GOOD = [(f"this is {letters(i)}", "yes" if i % 2 else "no") for i in range(60)]


def report() -> dict[str, Any]:
    return json.loads(Path("data/prepared/report.json").read_text())


def run(module: ModuleType) -> None:
    """The stage, as DVC would run it, in this process."""
    runner.once(module.__name__.rpartition(".")[2])


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


@pytest.mark.parametrize("link", ["data", "data/raw", "data/raw/mine", "data/raw/mine/deep", "data/raw/mine/a/b"])
def test_a_link_to_a_folder(make, tmp_path, link):
    """DVC would not see a change behind it, and git would store the link in place of the data."""
    folder = texts(make, GOOD)
    if not Path(link).exists():
        write(folder, {f"{link.removeprefix('data/raw/mine/')}/more.csv": "text,label\nmore,yes\n"})
    run(prepare)
    Path(link).rename(tmp_path / "elsewhere")
    Path(link).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    message = failure()
    assert message.startswith(f"{link}: is a link to a folder; ")
    assert "`dvc add data/raw/" in message


def test_a_folder_on_the_way_is_a_link(make, tmp_path):
    write(tmp_path / "elsewhere/own", {"rows.csv": "text,label\n"})
    texts(make, GOOD, source="data/raw/group/own")
    Path("data/raw/group").symlink_to("../../elsewhere")
    assert failure().startswith("data/raw/group: is a link to a folder; DVC does not look behind it")


def test_pictures_and_tags_behind_a_link_to_a_folder(make, tmp_path):
    """They lie beside the source, and a row or an option leads there."""
    source = {"source": "data/raw/mine/all.csv"}
    reader = {"name": "table", "image": "file", "label": "label"}
    folder = make(reader, task="image-classification", preprocessing=IMAGE, model="cnn", **source)
    write(folder, {"all.csv": "file,label\npictures/1.png,a\n"})
    (tmp_path / "elsewhere").mkdir()
    (folder / "pictures").symlink_to(tmp_path / "elsewhere")
    assert failure().startswith("data/raw/mine/pictures: is a link to a folder")
    reader = {"name": "slash-tagged", "tags": "data/raw/mine/pictures/tags.csv"}
    make(reader, task="sequence-tagging", preprocessing=WORDS, model="lstm", **source)
    assert failure().startswith("data/raw/mine/pictures: is a link to a folder")


def test_links_to_files_are_read(make, tmp_path):
    folder = texts(make, GOOD)
    (folder / "rows.csv").rename(tmp_path / "rows.csv")
    (folder / "rows.csv").symlink_to(tmp_path / "rows.csv")
    run(prepare)
    assert sum(split["examples"] for split in report()["splits"].values()) == 60


def test_a_source_that_the_experiment_lacks(make, tmp_path, monkeypatch):
    """DVC runs a queued or temporary experiment in a copy of what is tracked, and names the project it is of."""
    texts(make, GOOD)
    (tmp_path / "copy/data/raw").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(name, "copy")
    monkeypatch.chdir("copy")
    assert "(in a clone or an experiment only tracked files exist: run `git add data/raw/mine`" in failure()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert failure() == (
        f"datasets.mine.source: data/raw/mine: no such file or folder; it exists in {tmp_path}, but an experiment sees "
        "only tracked files: run `git add data/raw/mine`, or for large data `dvc add data/raw/mine` and "
        "`git add data/raw/mine.dvc`"
    )


@pytest.mark.slow
def test_an_experiment_with_data_that_is_not_tracked(tmp_path):
    """What the message says helps, by git and by DVC."""
    folder = clone.make(tmp_path / "clone", train=100, test=50)
    for name, rows in (("some", GOOD[::2]), ("others", GOOD[1::2])):
        lines = "".join(f"{text},{label}\n" for text, label in rows)
        write(folder, {f"data/raw/mine/{name}.csv": f"text,label\n{lines}"})
    chosen = "dvc exp run --temp prepare -S dataset=spam -S model=linear -S datasets.spam.source=data/raw/mine"
    output = clone.run(chosen, folder, code=None)
    assert f"it exists in {folder}, but an experiment sees only tracked files: run `git add data/raw/mine`" in output
    clone.run("git add data/raw/mine/some.csv && dvc add -q data/raw/mine/others.csv", folder)
    clone.run("git add data/raw/mine/others.csv.dvc data/raw/mine/.gitignore", folder)
    assert "data/raw/mine: 38 train" in clone.run(chosen, folder)


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


def tagged(make: Make, **files: str) -> None:
    folder = make({"name": "conll"}, task="sequence-tagging", preprocessing=WORDS, model="lstm")
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
    content["datasets"]["mine"] |= {"task": "sequence-tagging", "preprocessing": WORDS}
    content["model"] = "lstm"
    with Path("params.yaml").open("w") as file:
        YAML().dump(content, file)
    assert "sequence-tagging needs examples with words, but the reader yields text" in failure(preprocess)
