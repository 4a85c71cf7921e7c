"""Explanations by the package's code alone: they are of the answer that is given, and add up."""

import io
import re
import sys
from argparse import Namespace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flax import nnx
from networks import config
from PIL import Image
from small_tasks import examples, images

from pipeline.encoding import fit_tokenizer
from pipeline.evaluation.explanations.attribution import integrated_gradients
from pipeline.evaluation.predictor import Predictor as Evaluated
from pipeline.evaluation.predictor import variables
from pipeline.models import build, weights
from pipeline.packaging import export
from pipeline.runtime import package
from pipeline.runtime.commands.predict import Input
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.explanations import drawing, explainer, scores, terminal
from pipeline.runtime.explanations import images as of_images
from pipeline.runtime.explanations.texts import Pages, Texts
from pipeline.runtime.inputs.texts import Texts as TextInputs
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.tasks.classification import Classification
from pipeline.runtime.tasks.multi_label_classification import MultiLabelClassification
from pipeline.runtime.tasks.regression import Regression

SPEC = TextSpec("words", vocabulary=50, normalisation="none", lowercase=False, max_length=20, keep="start")
TEXT = "buy <b> this & that pill"


def folder_of_images(folder: Path, name: str) -> tuple[Evaluated, dict[str, Any]]:
    """A package's function and weights, of an untrained network."""
    task = images()
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    predictor = Evaluated(task, nnx.graphdef(model))
    (folder / "explain.jaxexp").write_bytes(export.export_explanations(predictor, tree))
    weights.write(folder / "model.safetensors", tree)
    return predictor, tree


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet", marks=pytest.mark.slow)])
def test_the_exported_function_explains_any_number_of_images_as_evaluate_does(name, tmp_path):
    predictor, tree = folder_of_images(tmp_path, name)
    function, arrays = package.load_function(tmp_path, "explain.jaxexp")
    given, outputs = np.asarray(examples(predictor.task, 3).inputs["images"]), np.arange(3, dtype=np.int32)
    pixels, errors = function.call(arrays, given, outputs)
    expected, _ = integrated_gradients(predictor, tree["params"], tree["model_state"], given, outputs)
    np.testing.assert_allclose(pixels, expected, atol=1e-4)
    assert np.abs(np.asarray(expected)).max() > 1e-2
    assert errors.shape == (3,)


def test_equal_models_have_equal_functions(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        folder_of_images(tmp_path / name, "cnn")
    assert (tmp_path / "a/explain.jaxexp").read_bytes() == (tmp_path / "b/explain.jaxexp").read_bytes()


def test_a_picture_of_each_image_and_no_two_of_one_name(tmp_path):
    folder_of_images(tmp_path, "cnn")
    labels = Classification(tuple("abcde"))
    asked: Any = SimpleNamespace(task=labels)
    out = tmp_path / "out"
    out.mkdir()
    made = of_images.load(asked, tmp_path, out, None)
    image = np.asarray(examples(images(), 1).inputs["images"])[0]
    row = np.array([0.1, 0.6, 0.1, 0.1, 0.1], np.float32)
    for name in ("x/1.png", "y/1.jpg"):
        (fact,) = made.explain(Input(name, ()), (image,), row).facts
        assert fact["of"] == "b"
        assert fact["completeness_error"] < 0.1
    assert sorted(path.name for path in out.iterdir()) == ["1-2.explained.png", "1.explained.png"]
    with Image.open(fact["picture"]) as picture:
        assert min(picture.size) >= drawing.SIDE
        colours = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.abs(colours[..., 0] - colours[..., 2]) > 60).any()  # red or blue, in a picture of greys


def test_red_is_for_and_blue_against():
    image = np.full((2, 2, 1), 255, np.uint8)
    red, blue, *white = drawing.overlaid(image, np.array([[2.0, -2.0], [0.0, 0.0]])).reshape(4, 3).tolist()
    assert red == drawing.RED.tolist()
    assert blue == drawing.BLUE.tolist()
    assert white == [[255] * 3] * 2


@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((300, 5), 3), ((28, 28), 1)])
def test_an_image_of_any_size_and_a_label_in_any_script_are_drawn(size, channels):
    image, pixels = np.zeros((*size, channels), np.uint8), np.zeros((2, *size))
    with Image.open(io.BytesIO(drawing.explained(image, pixels, ["漢字 0.5", "x" * 500]))) as picture:
        picture.load()
        assert max(picture.size) < 2_000


def asked(task: Any, votes: dict[str, float]) -> tuple[Any, Any]:
    """A predictor of texts: each word votes for the second of two outputs, by the mean of all votes."""
    tokenizer = fit_tokenizer.fit([" ".join(votes)], SPEC)
    made: Any = object.__new__(Predictor)
    table = np.zeros(60)
    for word, vote in votes.items():
        table[tokenizer.token_to_id(word)] = vote

    def outputs(given: list[Any]) -> list[np.ndarray]:
        odds = [table[tokens].sum() for (tokens,) in given]
        return [np.array([1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))], np.float32) for x in odds]

    made.inputs, made.task, made.outputs = TextInputs(tokenizer, SPEC), task, outputs
    return made, made.inputs.encode(TEXT, "a text")


def test_a_words_part_of_the_log_odds_is_its_vote(tmp_path, capsys, monkeypatch):
    task = Classification(["ham", "spam"])
    predictor, arrays = asked(task, {"buy": 3.0, "pill": 14.0, "that": -2.0, "this": 0.0})
    (row,) = predictor.outputs([arrays])
    found = Pages(Texts(predictor), tmp_path / "page.html").explain(Input("input 1", (), TEXT), arrays, row)
    (fact,) = found.facts
    assert fact["of"] == "spam"
    assert "".join(part["text"] for part in fact["parts"]) == TEXT
    given = {part["text"].split()[0]: part["weight"] for part in fact["parts"]}
    # Of a probability near 1, 32 bits hold no more.
    assert [given["buy"], given["pill"], given["that"]] == pytest.approx([3.0, 14.0, -2.0], abs=0.01)
    page = (tmp_path / "page.html").read_text()
    assert TEXT in unescape(re.sub("<[^>]+>", "", page))
    assert re.search(r'rgba\(220,40,40,0.75\)">pill<', page)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    found.show()
    assert capsys.readouterr().out.splitlines() == [
        "  for spam 1.0000 (+) and against it (-):",
        *("    +14.0000  pill", "     +3.0000  buy", "     -2.0000  that"),
    ]
    monkeypatch.setenv("NO_COLOR", "")
    found.show()
    line = capsys.readouterr().out
    assert "\x1b[48;5;160;38;5;231mpill\x1b[0m" in line
    assert re.sub("\x1b[^m]*m", "", line) == f"  spam 1.0000: {TEXT}\n"


def test_no_colours_where_nobody_sees_them(monkeypatch, capsys):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert not terminal.has_colours()
    assert terminal.coloured(["\x1b[2J", "a\r"], [1.0, 0.0]).count("\x1b") == 2  # ours alone


def test_what_is_explained_is_what_was_predicted():
    row = np.array([0.2, 0.7, 0.1], np.float32)
    one = Classification(["a", "b", "c"])
    several = MultiLabelClassification(["a", "b", "c"], [0.1, 0.5, 0.5])
    none = MultiLabelClassification(["a", "b", "c"], [0.9, 0.9, 0.9])
    numbers = Regression(["price", "size", "age"], {})
    expected = [([1], one), ([0, 1], several), ([1], none), ([0, 1, 2], numbers)]
    for outputs, task in expected:
        assert scores.explained(task, row, None) == outputs
        assert scores.explained(task, row, 2) == [2]
    assert scores.scores(numbers, row[None]).tolist() == row[None].astype(float).tolist()
    assert scores.scores(several, row[None])[0] == pytest.approx(np.log(row / (1 - row)), rel=1e-5)
    sure = np.array([[1.0, 1e-12]], np.float32)
    assert scores.scores(Classification(["a", "b"]), sure)[0, 0] == pytest.approx(12 * np.log(10), rel=0.01)


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        (True, {}, "--explain: is for images and texts: tags of words"),
        (False, {"of": "d"}, "--of: must be one of a, b, c, not 'd'"),
        (False, {"explain": "file/x"}, "--explain: file/x: not a directory: name a folder that can be written"),
        (False, {"explain": "file"}, "--explain: file: file exists: name a folder"),
        (False, {}, r"--explain: empty has no explain.jaxexp"),
        (False, {"explain": "empty/x"}, "--explain: empty/x lies in the package, which must stay as it is"),
        (False, {"explain": "empty"}, "--explain: empty lies in the package"),
    ],
)
def test_what_cannot_be_explained_is_refused(words, given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("empty").mkdir()
    inputs = SimpleNamespace(from_words=words, from_files=True)
    asked: Any = SimpleNamespace(inputs=inputs, task=Classification(["a", "b", "c"]))
    options = Namespace(package=Path("empty"), explain=Path(given.get("explain", "out")), of=given.get("of"))
    with pytest.raises(UserError, match=message):
        explainer.load(asked, options)


def test_without_jax_the_cure_is_said(tmp_path, monkeypatch):
    folder_of_images(tmp_path, "cnn")
    monkeypatch.setitem(sys.modules, "jax", None)
    asked: Any = SimpleNamespace(task=Classification(tuple("abcde")))
    cure = f"--explain: needs jax, which is not installed: pip install -r {tmp_path}/requirements-explain.txt"
    with pytest.raises(UserError, match=re.escape(cure)):
        of_images.load(asked, tmp_path, tmp_path, None)
