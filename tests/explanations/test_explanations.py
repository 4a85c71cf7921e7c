"""Explanations of images by the package's code alone: they add up, point at what counts, and lie over the picture."""

import io
import re
import sys
import warnings
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flax import nnx
from networks import config
from PIL import Image
from small_tasks import examples, images
from sources import picture

from pipeline.evaluation.explanations import attribution
from pipeline.evaluation.predictor import Predictor as Evaluated
from pipeline.evaluation.predictor import variables
from pipeline.models import build, weights
from pipeline.packaging import export
from pipeline.runtime import package
from pipeline.runtime.commands.predict import Input
from pipeline.runtime.encoders.images import decode
from pipeline.runtime.encoders.specs import ImageSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.explanations import METHODS, drawing, explainer, methods
from pipeline.runtime.explanations import images as of_images
from pipeline.runtime.tasks.classification import Classification

BATCH = methods.BATCH


def folder_of_images(folder: Path, name: str = "cnn") -> tuple[Evaluated, dict[str, Any]]:
    """A package's function and weights, of an untrained network."""
    task = images()
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    predictor = Evaluated(task, nnx.graphdef(model))
    (folder / "explain.jaxexp").write_bytes(export.export_image_slopes(predictor, tree))
    weights.write(folder / "model.safetensors", tree)
    return predictor, tree


def asked(outputs: Any = None) -> Any:
    """What of a package's predictor explanations use."""
    preprocessing = images().inputs.settings.model_dump()
    given = outputs or (lambda arrays: [np.full(5, 0.2, np.float32) for _ in arrays])
    inputs = SimpleNamespace(from_files=True, from_words=False)
    task = Classification(tuple("abcde"))
    return SimpleNamespace(task=task, config={"preprocessing": preprocessing}, inputs=inputs, outputs=given)


def linear(slope: np.ndarray) -> methods.Gradient:
    """The same slope for every output, and so no noise."""

    def gradient(given: np.ndarray, outputs: np.ndarray) -> methods.Slopes:
        scores = (given * slope[None]).sum((1, 2, 3))
        return methods.Slopes(scores, np.broadcast_to(slope, given.shape), (given * slope[None]).sum(-1))

    return gradient


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet", marks=pytest.mark.slow)])
def test_the_exported_function_gives_the_slopes_of_evaluate(name, tmp_path):
    predictor, tree = folder_of_images(tmp_path, name)
    function, arrays = package.load_function(tmp_path, "explain.jaxexp")
    given = np.asarray(examples(predictor.task, BATCH).inputs["images"], np.float32)
    outputs = (np.arange(BATCH) % 5).astype(np.int32)
    found = methods.Slopes(*map(np.asarray, function.call(arrays, given, outputs)))
    expected = attribution.gradient(predictor, tree)(given, outputs)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.abs(expected.pixels).max() > 1e-4
    # One linear layer follows the last feature map: its places add up to the score, but for the bias, which is 0 here,
    # where the score is a logit; of log odds that holds to the first order.
    assert found.activations.shape[0] == BATCH
    assert found.activations.shape[1] > 1


def test_equal_models_have_equal_functions(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        folder_of_images(tmp_path / name, "cnn")
    assert (tmp_path / "a/explain.jaxexp").read_bytes() == (tmp_path / "b/explain.jaxexp").read_bytes()


def test_of_a_linear_model_they_are_shapleys_values():
    """Which are, for each pixel, its weight times how far it is from the baselines' mean: `shap` computes them too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of matplotlib's, which it imports
        import shap
        from shap.maskers import Independent
    random = np.random.default_rng(0)
    slope = random.normal(size=(4, 3, 1))
    given, typical = (random.integers(0, 256, (n, 4, 3, 1)).astype(np.uint8) for n in (5, 8))
    maps, wanted, errors = methods.integrated(linear(slope), given, np.zeros(5, np.int32), typical)
    masker = Independent(typical.reshape(8, -1).astype(float), max_samples=8)
    expected = shap.LinearExplainer((slope.ravel(), 0.0), masker).shap_values(given.reshape(5, -1).astype(float))
    np.testing.assert_allclose(maps, methods.smoothed(expected.reshape(5, 4, 3)), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(maps.sum((1, 2)), expected.sum(1), rtol=1e-4)  # smoothing keeps the sum
    np.testing.assert_allclose(wanted, expected.sum(1), rtol=1e-4)
    assert errors.max() < 1e-2


def test_every_method_finds_the_square_that_counts(tmp_path):
    slope = np.zeros((28, 28, 1))
    slope[6:12, 14:20] = 1.0
    given, typical = np.full((1, 28, 28, 1), 200, np.uint8), np.full((2, 28, 28, 1), 100, np.uint8)
    output, gradient = np.zeros(1, np.int32), linear(slope)
    maps = {
        "integrated": methods.integrated(gradient, given, output, typical)[0],
        "smoothgrad": methods.smoothgrad(gradient, given, output, typical),
        "cam": methods.cam(gradient, given, output),
        "occlusion": methods.occlusion(lambda x: (x * slope[None]).sum((1, 2, 3))[:, None], given, output, typical),
    }
    assert maps.keys() == set(METHODS)
    for name, (found,) in maps.items():
        assert 6 <= found.argmax() // 28 < 12, name
        assert 14 <= found.argmax() % 28 < 20, name
        assert found[6:12, 14:20].sum() > 0.3 * np.abs(found).sum(), name
        assert np.abs(found[20:]).max() < 1e-6, name


def test_a_picture_of_each_image_and_no_two_of_one_name(tmp_path):
    folder_of_images(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    made = of_images.load(asked(), tmp_path, out, None, None)
    content = picture(seed=1)
    spec = images().inputs.settings.spec  # type: ignore[union-attr]
    image = decode(content, spec, "x")  # type: ignore[arg-type]
    row = np.array([0.1, 0.6, 0.1, 0.1, 0.1], np.float32)
    for name in ("x/1.png", "y/1.jpg"):
        (fact,) = made.explain(Input(name, (), content), (image,), row).facts
        assert (fact["of"], fact["method"]) == ("b", "integrated")
        assert fact["completeness_error"] < 0.1
    assert sorted(path.name for path in out.iterdir()) == ["1-2.explained.png", "1.explained.png"]
    with Image.open(fact["picture"]) as drawn:
        assert min(drawn.size) >= drawing.LEAST
        colours = np.asarray(drawn.convert("RGB")).astype(int)
    assert (np.abs(colours[..., 0] - colours[..., 2]) > 60).any()  # red or blue


def test_red_is_for_and_blue_against():
    white = Image.new("RGB", (2, 2), "white")
    over = np.asarray(drawing.overlaid(white, np.array([[2.0, -2.0], [0.0, 0.0]]))).astype(int)
    assert over[0, 0, 0] > over[0, 0, 2] + 100
    assert over[0, 1, 2] > over[0, 1, 0] + 100
    assert (over[1] == 255).all()


@pytest.mark.parametrize(("resize", "margin"), [("exact", 0), ("shorter", 0), ("pad", 0), ("shorter", 8), ("exact", 8)])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (60, 60)])
def test_a_map_lies_where_the_model_saw_it(size, resize, margin):
    """A white square in a picture is found by the encoder, and laid back over the same place."""
    spec = ImageSpec(40, 40, "grey", resize, margin, "black")
    array = np.zeros((size[1], size[0]), np.uint8)
    top, left = int(size[1] * 0.45), int(size[0] * 0.4)
    array[top : top + size[1] // 5, left : left + size[0] // 5] = 255
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    seen = decode(file.getvalue(), spec, "x")[..., 0].astype(float)
    shown = drawing.shown(file.getvalue())
    laid = drawing.laid_over(seen, shown.size, spec)
    own = np.asarray(shown.convert("L")).astype(float)
    assert laid.shape == own.shape
    for axis in (0, 1):
        places = np.arange(own.shape[axis])
        theirs, ours = (float((x.sum(1 - axis) * places).sum() / x.sum()) for x in (own, laid))
        assert ours == pytest.approx(theirs, abs=own.shape[axis] * 0.01)


@pytest.mark.parametrize("size", [(1, 1), (300, 5), (3000, 40)])
def test_a_picture_of_any_size_and_a_label_in_any_script_are_drawn(size):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG")
    spec = ImageSpec(8, 8, "rgb", "pad", 0, "white")
    with Image.open(
        io.BytesIO(drawing.explained(file.getvalue(), spec, [np.zeros((8, 8))] * 2, ["漢字 0.5", "x" * 500]))
    ) as drawn:
        drawn.load()
        assert max(drawn.size) < 2 * drawing.MOST + 500


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        (False, {"of": "d"}, "--of: must be one of a, b, c, not 'd'"),
        (False, {"explain": "file/x"}, "--explain: file/x: not a directory: name a folder that can be written"),
        (False, {"explain": "file"}, "--explain: file: file exists: name a folder"),
        (False, {"method": "cam"}, r"--method cam: empty has no explain.jaxexp"),
        (False, {"explain": "empty/x"}, "--explain: empty/x lies in the package, which must stay as it is"),
        (False, {"explain": "empty"}, "--explain: empty lies in the package"),
        (True, {"method": "cam"}, "--method: for these inputs must be occlusion or integrated, not cam"),
    ],
)
def test_what_cannot_be_explained_is_refused(words, given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("empty").mkdir()
    predictor = asked()
    predictor.task, predictor.inputs = (
        Classification(["a", "b", "c"]),
        SimpleNamespace(from_words=words, from_files=not words),
    )
    options = {"package": Path("empty"), "explain": Path(given.get("explain", "out"))}
    with pytest.raises(UserError, match=message):
        explainer.load(predictor, Namespace(**options, of=given.get("of"), method=given.get("method")))


def test_without_jax_squares_are_covered_and_the_cure_is_said(tmp_path, monkeypatch):
    folder_of_images(tmp_path)
    monkeypatch.setattr(explainer, "find_spec", lambda name: None)
    cure = f"--method cam: needs jax, which is not installed: pip install -r {tmp_path}/requirements-explain.txt"
    with pytest.raises(UserError, match=re.escape(cure)):
        of_images.load(asked(), tmp_path, tmp_path, None, "cam")
    monkeypatch.setitem(sys.modules, "jax", None)

    def bright_corner(arrays: Any) -> list[np.ndarray]:
        odds = [float(image[:4, :4].mean()) / 64 - 2 for (image,) in arrays]
        return [np.array([1 / (1 + np.exp(-x)), *([1 / (1 + np.exp(x)) / 4] * 4)]) for x in odds]

    made = of_images.Images(asked(bright_corner), tmp_path)
    assert made.method == "occlusion"
    (found,), _ = made.maps(np.full((1, 14, 10, 1), 255, np.uint8), [0])
    assert found[:4, :4].mean() > 10 * np.abs(found[8:]).mean()
