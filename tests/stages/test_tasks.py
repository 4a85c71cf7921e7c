"""Tasks with several labels or with numbers, through all five stages and `predict`, for texts and for images."""

import csv
import io
import json
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imports import TOP
from PIL import Image
from ruamel.yaml import YAML
from small_packages import copy_stages, dump, run_stages

from pipeline.commands import selftest
from pipeline.commands.packages import repackage
from pipeline.runtime.commands import predict
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

pytestmark = pytest.mark.slow

WORDS = ("sun", "rain", "snow")  # each is a label of the texts and pictures that have it
ROWS = 240


def rows() -> list[dict[str, Any]]:
    """Texts and pictures that show some of three things, or none; `warmth` and `size` are made from those."""
    random = np.random.default_rng(0)
    made = []
    for i in range(ROWS):
        has = random.integers(0, 2, 3)
        noise = " ".join("".join(random.choice(list("abcdefgh"), 4)) for _ in range(4))
        pixels = np.zeros((12, 12), np.uint8)
        for place, there in enumerate(has):
            pixels[1:11, 4 * place : 4 * place + 3] = 200 * there + random.integers(0, 40, (10, 3))
        warmth = 20 + 10 * has[0] - 5 * has[2] + random.normal(0, 0.1)
        found = [word for word, there in zip(WORDS, has) if there]
        made.append(
            {
                "text": f"{noise} {' '.join(found)}",
                "image": f"{i}.png",
                "pixels": pixels,
                "found": "|".join(found),
                **dict(zip(WORDS, has.tolist())),
                "warmth": warmth,
                "size": 1000.0 + 100 * has.sum(),
            }
        )
    return made


LONG = pytest.mark.long
SEVERAL, NUMBERS = {"name": "multi-label-classification"}, {"name": "regression"}


def make(
    folder: Path,
    content: str,
    labels: dict[str, Any],
    task: dict[str, Any],
    evaluation: dict[str, Any] | None = None,
    **training: Any,
) -> Path:
    """All five stages on a table with that content."""
    here = folder / content
    copy_stages(here)
    source = here / "data/raw/mine"
    source.mkdir(parents=True)
    table = rows()
    for row in table if content == "image" else ():
        Image.fromarray(row["pixels"]).save(source / row["image"])
    frame = pd.DataFrame(table).drop(columns="pixels")
    frame.to_csv(source / "table.csv", index=False)
    params = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    like, model = ("spam", "linear") if content == "text" else ("fashion-mnist", "cnn")
    section = params["datasets"][like] | {
        "task": task,
        "data": {
            "source": "data/raw/mine",
            "format": "table",
            "validation": 0.2,
            "test": 0.3,
            content: content,
            **labels,
        },
    }
    section["preprocessing"] |= {"tokenizer": "words", "vocabulary": 40} if content == "text" else {}
    section["preprocessing"] |= {} if content == "text" else {"height": 12, "width": 12}
    params |= {"dataset": "mine", "model": model, "datasets": {"mine": section}}
    params["models"][model]["training"] |= {"epochs": 20, "batch_size": 16, "label_smoothing": 0.0} | training
    params["evaluation"] |= evaluation or {}
    dump(params, here / "params.yaml")
    run_stages(here, "prepare", "preprocess", "train", "evaluate", "package")
    return here


def asked(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `predict` prints for the package there."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["predict", str(here / "package"), *options])
    with chdir(here):
        assert predict.main() == 0
    return capsys.readouterr().out


def metrics(here: Path) -> dict[str, Any]:
    return json.loads((here / "metrics/details.json").read_text())["test"]


def headline(here: Path) -> dict[str, Any]:
    return json.loads((here / "metrics/evaluate.json").read_text())["test"]


def monitored(here: Path) -> np.ndarray:
    """What the best epoch was chosen by, of each epoch."""
    return pd.read_csv(here / "trained/history.csv")["monitored"].to_numpy()


def kept(here: Path) -> float:
    """That of the epoch that was kept."""
    return float(monitored(here)[json.loads((here / "metrics/train.json").read_text())["kept_epoch"] - 1])


@pytest.mark.parametrize(
    ("content", "labels"),
    [("text", {"labels": "found", "separator": "|"}), pytest.param("image", {"labels": list(WORDS)}, marks=LONG)],
)
def test_several_labels(tmp_path, monkeypatch, capsys, content, labels):
    here = make(tmp_path, content, labels, SEVERAL | {"class_weights": "balanced"}, monitor="macro_f1")
    assert kept(here) == monitored(here).max()
    figures, table = metrics(here), pd.read_parquet(here / "evaluation/test.parquet")
    assert figures["micro"]["f1"] > 0.95 > figures["baseline_micro_f1"]
    assert figures["micro"]["f1_low"] <= figures["micro"]["f1"] <= figures["micro"]["f1_high"]
    assert 0 in set(map(len, table["labels"]))  # an example without any label is one
    raw = {"text": "efgh sun abcd snow", "image": "data/raw/mine/0.png"}[content]
    expected = ["snow", "sun"] if content == "text" else [w for w in sorted(WORDS) if rows()[0][w]]
    answer = json.loads(asked(here, monkeypatch, capsys, raw, "--json"))
    assert answer["labels"] == expected
    assert set(answer["probabilities"]) == set(WORDS)
    (row,) = csv.DictReader(io.StringIO(asked(here, monkeypatch, capsys, raw, "--csv")))
    assert row["labels"] == "|".join(expected)
    assert "By label" in (here / "package/README.md").read_text()
    assert list(headline(here)) == ["micro_f1", "macro_f1", "average_precision", "loss", "brier", "ece"]


@pytest.mark.parametrize("content", ["text", pytest.param("image", marks=LONG)])
def test_numbers(tmp_path, monkeypatch, capsys, content):
    task = NUMBERS | {"loss": "huber" if content == "text" else "squared", "units": {"warmth": "degrees"}}
    here = make(tmp_path, content, {"targets": ["warmth", "size"]}, task, monitor="mae")
    assert kept(here) == monitored(here).min()
    figures = metrics(here)
    for name, scale in (("warmth", 5.0), ("size", 100.0)):
        assert figures[name]["r2"] > 0.7
        assert figures[name]["mae"] < 0.5 * figures[name]["baseline_mae"] < scale
        assert figures[name]["mae_low"] < figures[name]["mae"] < figures[name]["mae_high"]
    raw = {"text": "efgh sun abcd", "image": "data/raw/mine/0.png"}[content]
    assert list(headline(here)["size"]) == ["mae", "rmse", "r2", "interval_coverage", "interval_width"]
    assert figures["size"]["interval_coverage"] > 0.75  # of 72 test examples, by 48 of validation
    answer = json.loads(asked(here, monkeypatch, capsys, raw, "--json"))
    assert answer["units"] == {"warmth": "degrees"}
    for name, value in answer["values"].items():
        assert answer["low"][name] == pytest.approx(value - figures[name]["interval_width"] / 2, rel=1e-5)
        assert answer["high"][name] == pytest.approx(value + figures[name]["interval_width"] / 2, rel=1e-5)
    (row,) = csv.DictReader(io.StringIO(asked(here, monkeypatch, capsys, raw, "--csv")))
    assert float(row["warmth (degrees) low"]) == pytest.approx(answer["low"]["warmth"], rel=1e-4)
    if content == "text":
        assert answer["values"]["warmth"] == pytest.approx(30, abs=4)
        assert answer["values"]["size"] == pytest.approx(1_100, abs=90)
    assert "warmth (degrees)" in asked(here, monkeypatch, capsys, raw)
    assert (here / "plots/images/predicted.png").exists()


def test_a_target_that_never_changes_is_refused(tmp_path, monkeypatch):
    table = [row | {"size": 1000.0} for row in rows()]
    monkeypatch.setitem(make.__globals__, "rows", lambda: table)
    with pytest.raises(UserError, match="the target size is 1000 in every training example"):
        make(tmp_path, "text", {"targets": ["size"]}, NUMBERS)


def test_the_selftest_compares_each_task(tmp_path, monkeypatch):
    """A package whose thresholds are changed is no longer evaluate's."""
    here = make(tmp_path, "text", {"labels": "found", "separator": "|"}, SEVERAL)
    labels = here / "package/labels.json"
    content = json.loads(labels.read_text())
    labels.write_text(json.dumps(content | {"thresholds": [2.0] * 3}))
    manifest.seal(here / "package")
    arguments = ["selftest", "package", "data/prepared/test.parquet", "evaluation/test.parquet"]
    monkeypatch.setattr(sys, "argv", arguments)
    with chdir(here), pytest.raises(UserError, match="is answered by"):
        selftest.main()


def test_answers_that_are_as_sure_as_they_say(tmp_path, monkeypatch, capsys):
    """Trained with label smoothing, a model is too modest: one temperature cures that, in the package too."""
    monkeypatch.setitem(make.__globals__, "ROWS", 4 * ROWS)
    made, random = rows(), np.random.default_rng(0)
    for row in made:  # some labels are wrong, so that nothing is certain
        row["kind"] = "sun" if "sun" in row["found"] and random.random() > 0.2 else "rain"
    monkeypatch.setitem(make.__globals__, "rows", lambda: made)
    here = make(
        tmp_path,
        "text",
        {"label": "kind"},
        {"name": "classification"},
        {"sure_accuracy": 0.95},
        label_smoothing=0.4,
        epochs=5,
    )
    capsys.readouterr()
    figures, fitted = metrics(here), json.loads((here / "evaluation/calibration.json").read_text())
    assert fitted["temperature"] < 0.9
    assert fitted["validation"]["loss"]["after"] < fitted["validation"]["loss"]["before"]
    for name in ("loss", "brier", "ece"):
        assert figures[name] < figures["uncalibrated"][name]
    table: Any = pd.read_parquet(here / "evaluation/test.parquet")
    assert ((table["probability of rain"] > 0.5) == (table["prediction"] == "rain")).all()
    assert figures["sure"]["coverage"] < 1
    signature = json.loads((here / "package/signature.json").read_text())
    assert signature["temperature"] == fitted["temperature"]
    assert signature["sure"] == fitted["sure"]
    sure, unsure = table["probability of sun"].idxmin(), table["probability of sun"].sub(0.5).abs().idxmin()
    texts = pd.read_parquet(here / "data/prepared/test.parquet")["text"].tolist()
    answers = asked(here, monkeypatch, capsys, texts[sure], texts[unsure], "--json").splitlines()
    for answer, row in zip(map(json.loads, answers), (sure, unsure), strict=True):
        assert answer["probabilities"]["sun"] == pytest.approx(table["probability of sun"][row], abs=1e-5)
        assert answer["sure"] == (row == sure)
    printed = asked(here, monkeypatch, capsys, texts[sure], texts[unsure]).splitlines()
    assert printed[0].split() == ["probability", "label", "sure", "input"]
    assert " yes " in printed[1]
    assert " not sure " in printed[2]
    rewritten = (tmp_path / "new").as_posix()
    monkeypatch.setattr(sys, "argv", ["repackage", str(here / "package"), "--out", rewritten])
    with chdir(here):
        repackage.main()
    assert json.loads((tmp_path / "new/signature.json").read_text())["temperature"] == fitted["temperature"]
