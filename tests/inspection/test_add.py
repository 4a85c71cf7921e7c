"""`add` writes a section with which the stages run, whatever the source; or says in one line why not."""

import sys
from pathlib import Path

import made_up
import pytest
from added import sections
from dvc.utils.serialize import modify_yaml
from good_sources import SOURCES
from imports import TOP
from one_source import run as run_stage
from ruamel.yaml import YAML
from sources import pack, write

from pipeline.commands import describe
from pipeline.runtime.errors import UserError
from pipeline.stages import prepare, preprocess

GOOD = "Text;Klasse\n".replace(";", ",") + "".join(
    f"ein Satz über Thema {'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10]},{('gut', 'schlecht')[i % 2]}\n"
    for i in range(100)
)


def prepared(name: str) -> None:
    """Chooses the section, and runs the first two stages."""
    with modify_yaml("params.yaml") as content:
        content["dataset"] = name
    run_stage(prepare)
    run_stage(preprocess)


@pytest.mark.parametrize(("reader", "files"), SOURCES, ids=[str(reader) for reader, _ in SOURCES])
def test_every_kind_of_source(raw, run, reader, files):
    write(raw / "mine", files)
    out = run("data/raw/mine")
    data = sections()["mine"]["data"]
    assert data["format"] == reader["format"]
    assert {key: data.get(key) for key in ("text", "label")} == {key: reader.get(key) for key in ("text", "label")}
    use_model(out)
    if reader["format"] == "slash-tagged":  # two files, each in one split
        assert "no example is left for the train split" in out
    else:
        prepared("mine")


@pytest.mark.parametrize("make", [made_up.shapes, made_up.reviews, made_up.book, made_up.names])
def test_the_data_of_the_pages(raw, run, make):
    make(raw)
    (source,) = raw.iterdir()
    out = run(str(source))
    name = source.stem
    use_model(out)
    prepared(name)
    assert f"dvc exp run -S dataset={name}" in out


def use_model(out: str) -> None:
    """Chooses the model that the command names."""
    model = out.rpartition("-S model=")[2].split()[0]
    with modify_yaml("params.yaml") as content:
        content["model"] = model


def test_params_keeps_every_other_line(raw, run):
    before = Path("params.yaml").read_text()
    (raw / "sätze.csv").write_text(GOOD)
    run("data/raw/sätze.csv")
    after = Path("params.yaml").read_text()
    (start,) = (i for i in range(len(after)) if after.startswith("  satze:\n", i))
    section = after[start : start + len(after) - len(before) - 1]
    assert after.replace(f"\n{section}", "") == before
    with modify_yaml("params.yaml") as content:
        content["seed"] = 0
    assert Path("params.yaml").read_text() == after  # DVC's own form


def test_a_table_with_semicolons_in_an_old_encoding(raw, run):
    (raw / "mine.csv").write_text(GOOD.replace(",", ";"), encoding="cp1252")
    assert "is not UTF-8 (line 2" in refused(run, "data/raw/mine.csv")
    use_model(run("data/raw/mine.csv", "--encoding", "cp1252"))
    assert sections()["mine"]["data"] == {
        "source": "data/raw/mine.csv",
        "format": "table",
        "encoding": "cp1252",
        "text": "Text",
        "label": "Klasse",
    }
    prepared("mine")


def test_dry_writes_nothing(raw, run):
    before = Path("params.yaml").read_text()
    (raw / "mine.csv").write_text(GOOD)
    assert "label: Klasse" in run("data/raw/mine.csv", "--dry")
    assert Path("params.yaml").read_text() == before


def test_a_terminal_is_asked(raw, run, monkeypatch):
    (raw / "mine.csv").write_text(GOOD)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    run("data/raw/mine.csv")
    assert "mine" not in sections()
    monkeypatch.setattr("builtins.input", lambda prompt: "")
    run("data/raw/mine.csv")
    assert "mine" in sections()


def refused(run, *arguments: str) -> str:
    before = Path("params.yaml").read_text()
    with pytest.raises(UserError) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    assert Path("params.yaml").read_text() == before
    return str(caught.value)


def test_two_columns_that_could_be_the_label(raw, run, monkeypatch):
    rows = [f"this is {a}{b} indeed,{('yes', 'no')[i % 2]},{('red', 'blue', 'green')[i % 3]}" for i, (a, b) in
            enumerate((a, b) for a in "abcdefghij" for b in "abcdefghij")]  # fmt: skip
    (raw / "mine.csv").write_text("\n".join(["words,answer,colour", *rows]))
    message = refused(run, "data/raw/mine.csv")
    assert "which column should be predicted? Choose one with --label answer (2 different values" in message
    assert "--label colour (3 different values" in message
    run("data/raw/mine.csv", "--label", "colour", "--name", "one")
    assert sections()["one"]["data"]["label"] == "colour"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter(["7", "x", "1", "y"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    run("data/raw/mine.csv", "--name", "two")
    assert sections()["two"]["data"]["label"] == "answer"


def test_a_few_texts_beside_the_folders_of_classes(raw, run):
    texts = {f"mine/{c}/{i}.txt": f"this is {c} {chr(97 + i)}\n" for c in ("good", "bad") for i in range(20)}
    write(raw, {"mine/urls.txt": "http://x", **texts})
    out = run("data/raw/mine")
    assert "2 classes: bad 20, good 20" in out
    assert "refused 1: lies in no class folder, such as data/raw/mine/urls.txt" in out


def test_what_is_refused(raw, run):
    (raw / "mine.csv").write_text(GOOD)
    (raw / "empty").mkdir()
    Path("elsewhere.csv").write_text(GOOD)
    write(raw, {"odd/a.xlsx": b"PK\x03\x04\0", "nameless.csv": GOOD.partition("\n")[2], "few.csv": "a,b\n1,2\n"})
    write(raw, {"numbers.csv": "".join(f"ein Satz {i % 7}{chr(97 + i % 26)},{0.37 * i}\n" for i in range(1, 50))})
    assert "datasets.spam exists already: choose another name with --name" in refused(
        run, "data/raw/mine.csv", "--name", "spam"
    )
    assert "--name a.b: must consist of" in refused(run, "data/raw/mine.csv", "--name", "a.b")
    assert "cp -r elsewhere.csv data/raw/, then python -m pipeline add" in refused(run, "elsewhere.csv")
    assert "name one file or folder in it" in refused(run, "data/raw")
    assert "data/raw/empty: holds no file" in refused(run, "data/raw/empty")
    assert "no such file or folder" in refused(run, "data/raw/nothing")
    assert "no reader reads its .xlsx files, such as a.xlsx" in refused(run, "data/raw/odd")
    write(raw, {"rows.json": '[{"text": "a", "label": "b"}]\n', "a (1).xml": "<a>some text</a>\n"})
    assert "write one object per line (jq -c" in refused(run, "data/raw/rows.json")
    assert "to learn it as text, say with --task what" in refused(run, "data/raw/a (1).xml")
    assert "  git add 'data/raw/a (1).xml'\n" in run("data/raw/a (1).xml", "--task", "language-modelling")
    assert "its first line looks like a row (ein Satz" in refused(run, "data/raw/nameless.csv")
    assert "its first line looks like a row (ein Satz" in refused(run, "data/raw/numbers.csv")
    assert "no column looks like the input: name it with" in refused(run, "data/raw/few.csv")
    assert "must name a column either as text or as image" in refused(
        run, "data/raw/mine.csv", "--text", "Text", "--image", "Text"
    )
    assert "names the column Klasse twice" in refused(run, "data/raw/mine.csv", "--labels", "Klasse", "Klasse")
    assert "has no column nix (its columns: Text, Klasse)" in refused(run, "data/raw/mine.csv", "--text", "nix")


def test_what_prepare_would_refuse_is_said(raw, run):
    (raw / "mine.csv").write_text(f"{GOOD}ein Satz ohne Klasse,\n")
    out = run("data/raw/mine.csv")
    assert "refused 1: its label is empty, such as data/raw/mine.csv row 102" in out
    assert "allow them with --max-bad-rows 1" in out
    run("data/raw/mine.csv", "--max-bad-rows", "1", "--name", "two")
    assert sections()["two"]["data"]["max_bad_rows"] == 1


def test_files_that_are_named_as_splits(raw, run):
    write(raw, {"mine/train.csv": GOOD, "mine/test.csv": GOOD.replace("Satz", "Fall")})
    out = run("data/raw/mine")
    assert "splits, as the source says: 96 train, 4 validation, 100 test" in out
    write(raw, {"mine/test.csv": "Text\nohne Klasse\n"})
    assert "note: in test, a split without labels: 1 left out" in run("data/raw/mine", "--name", "two")
    write(raw, {"mine/extra.csv": GOOD})
    message = refused(run, "data/raw/mine", "--name", "three")
    assert "some of its files name a split (test.csv, train.csv) and some do not (extra.csv)" in message


def test_more_files_than_are_read(raw, run, monkeypatch):
    """Folders come one after the other: those that were not reached are counted by name."""
    monkeypatch.setattr("pipeline.inspection.sample.MOST", 10)
    write(raw, {f"mine/{kind}/{i}.txt": f"a text {chr(97 + i)}" for kind in ("one", "two") for i in range(20)})
    out = run("data/raw/mine")
    assert "the first 10 examples" in out
    assert "2 classes: one 20, two 20" in out
    assert "class_weights" not in out


def test_a_small_set_gets_small_batches_and_a_rate_that_fits_them(raw, run):
    made_up.shapes(raw)
    of_128 = YAML(typ="safe").load((TOP / "params.yaml").read_text())["models"]["resnet"]["training"]["learning_rate"]
    changes = "-S models.resnet.training.batch_size=auto -S models.resnet.training.learning_rate="
    line = next(line for line in run("data/raw/shapes").splitlines() if changes in line)
    assert float(line.partition(changes)[2]) == of_128 * 8 / 128


def test_an_archive(raw, run):
    pack(raw / "Bilder 2.zip", {f"all/{name}": content for name, content in SOURCES[-2][1].items()})
    run("data/raw/Bilder 2.zip")
    assert sections()["bilder-2"]["data"] == {"source": "data/raw/Bilder 2.zip", "format": "image-folder"}


def test_describe(raw, run, monkeypatch, capsys):
    (raw / "mine.csv").write_text(GOOD.replace("Satz", "Satz <b>&"))
    use_model(run("data/raw/mine.csv"))
    prepared("mine")
    monkeypatch.setattr(sys, "argv", ["describe"])
    describe.main()
    out = capsys.readouterr().out
    assert "data/raw/mine.csv: table, for classification" in out
    assert "2 classes: gut" in out
    page = Path("logs/examples.html").read_text()
    assert "Satz &lt;b&gt;&amp; über" in page


def test_describe_pictures(raw, run, monkeypatch, capsys):
    write(raw / "mine", SOURCES[-2][1])
    use_model(run("data/raw/mine"))
    prepared("mine")
    monkeypatch.setattr(sys, "argv", ["describe"])
    describe.main()
    assert "all 40 x 40 pixels, colour" in capsys.readouterr().out
    assert Path("logs/examples.html").read_text().count("data:image/png;base64,") > 10
