"""Where raw data may lie: no links to folders, nothing that an experiment lacks, each in one clear line."""

import shutil
from pathlib import Path

import clone
import pytest
from one_source import GOOD, IMAGE, WORDS, failure, report, run, texts
from sources import picture, write

from pipeline.readers import raw_data
from pipeline.stages import prepare


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "data/raw/missing",
            "datasets.mine.data.source: data/raw/missing: no such file or folder; put it there",
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
    assert failure().startswith("data/raw/group: is a link to a folder; DVC does not follow it")


def test_pictures_and_tags_behind_a_link_to_a_folder(make, tmp_path):
    """They lie beside the source, and a row or an option leads there."""
    source = {"source": "data/raw/mine/all.csv"}
    reader = {"format": "table", "image": "file", "label": "label"}
    folder = make(reader, task="classification", preprocessing=IMAGE, model="cnn", **source)
    write(folder, {"all.csv": "file,label\npictures/1.png,a\n"})
    (tmp_path / "elsewhere").mkdir()
    (folder / "pictures").symlink_to(tmp_path / "elsewhere")
    assert failure().startswith("data/raw/mine/pictures: is a link to a folder")
    reader = {"format": "slash-tagged", "tags": "data/raw/mine/pictures/tags.csv"}
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
    for name in ("params.yaml", "dvc.yaml", "versions.yaml"):
        shutil.copy(name, "copy")
    monkeypatch.chdir("copy")
    assert "(in a clone or an experiment only tracked files exist: run `git add data/raw/mine`" in failure()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert failure() == (
        f"datasets.mine.data.source: data/raw/mine: no such file or folder; it exists in {tmp_path}, but an experiment "
        "sees only tracked files: run `git add data/raw/mine`, or for large data `dvc add data/raw/mine` and "
        "`git add data/raw/mine.dvc`"
    )


def test_a_source_of_which_the_experiment_lacks_a_part(make, tmp_path, monkeypatch):
    """It would train on less than what lies in the project, and say nothing."""
    texts(make, GOOD)
    shutil.copytree("data/raw/mine", "copy/data/raw/mine")
    for name in ("params.yaml", "dvc.yaml", "versions.yaml"):
        shutil.copy(name, "copy")
    (tmp_path / "data/raw/mine/more.csv").write_text("text,label\n")
    monkeypatch.chdir("copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    message = f"data/raw/mine: 1 of its files, such as more.csv, are only in {tmp_path}: an experiment sees only"
    assert message in failure()


def test_pictures_and_tags_that_the_experiment_lacks(make, tmp_path, monkeypatch):
    """They lie beside the source, which names them; rows without them would only count as unusable."""
    source = {"source": "data/raw/mine/all.csv"}
    reader = {"format": "table", "image": "file", "label": "label", "max_bad_rows": 9}
    folder = make(reader, task="classification", preprocessing=IMAGE, model="cnn", **source)
    write(folder, {"all.csv": "file,label\npictures/1.png,a\n"})
    shutil.copytree("data", "copy/data")
    for name in ("params.yaml", "dvc.yaml", "versions.yaml"):
        shutil.copy(name, "copy")
    write(folder, {"pictures/1.png": picture(seed=1), "pictures/tags.csv": "tag,becomes\n"})
    monkeypatch.chdir("copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    message = (
        f"1.png: is in {tmp_path} alone: an experiment sees only tracked files: run `git add data/raw/mine/pictures`"
    )
    assert failure().startswith(f"data/raw/mine/pictures/{message}")
    reader = {"format": "slash-tagged", "tags": "data/raw/mine/pictures/tags.csv"}
    monkeypatch.chdir(tmp_path)
    make(reader, task="sequence-tagging", preprocessing=WORDS, model="lstm", **source)
    shutil.copy("params.yaml", "copy")
    monkeypatch.chdir("copy")
    assert failure().startswith(f"data/raw/mine/pictures/tags.csv: is in {tmp_path} alone")


@pytest.mark.parametrize(
    ("size", "tracked", "warned"), [(6_000_000, False, True), (6_000_000, True, False), (9, False, False)]
)
def test_an_experiment_that_would_commit_large_data_to_git_warns(size, tracked, warned, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/mine").mkdir(parents=True)
    (tmp_path / "data/raw/mine/a.csv").write_bytes(bytes(size))
    clone.run("git init -q" + (" && git add ." if tracked else ""), tmp_path)
    monkeypatch.setenv("DVC_EXP_NAME", "an-experiment")
    raw_data.warn_of_large()
    assert ("6 MB of data to git with this experiment" in (said := capsys.readouterr().err)) == warned
    assert ("`dvc add data/raw/mine`" in said) == warned


@pytest.mark.slow
def test_an_experiment_with_data_that_is_not_tracked(tmp_path):
    """What the message says helps, by git and by DVC."""
    folder = clone.make(tmp_path / "clone", train=100, test=50)
    for name, rows in (("some", GOOD[::2]), ("others", GOOD[1::2])):
        lines = "".join(f"{text},{label}\n" for text, label in rows)
        write(folder, {f"data/raw/mine/{name}.csv": f"text,label\n{lines}"})
    chosen = "dvc exp run --temp prepare -S dataset=spam -S model=linear -S datasets.spam.data.source=data/raw/mine"
    output = clone.run(chosen, folder, code=None)
    assert f"it exists in {folder}, but an experiment sees only tracked files: run `git add data/raw/mine`" in output
    clone.run("git add data/raw/mine/some.csv && dvc add -q data/raw/mine/others.csv", folder)
    clone.run("git add data/raw/mine/others.csv.dvc data/raw/mine/.gitignore", folder)
    assert "data/raw/mine: 38 train" in clone.run(chosen, folder)
