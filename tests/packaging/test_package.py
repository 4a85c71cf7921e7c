"""A package runs by the code in it, away from the repository: its card's examples, on inputs of any form."""

import compileall
import io
import json
import re
import shutil
from ast import literal_eval
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.encoding.images import decoded
from pipeline.packaging import requirements
from pipeline.packaging.selftest import clean_process
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]

NAMES = ("images", "texts", "tags", "writer")
ENGINES = ["runtime", "jax", "onnx"]


@pytest.fixture(scope="module")
def made(four_packages: list[Path], tmp_path_factory) -> dict[str, Path]:
    """A package of each task, with nothing of the repository around it."""
    top = tmp_path_factory.mktemp("elsewhere")
    folders = {folder.parent.name: folder for folder in four_packages}
    return {name: Path(shutil.copytree(folder, top / name)) for name, folder in folders.items()}


@pytest.fixture
def python(tmp_path):
    """What a new process prints that can import the standard library, what lies in the folder, and some libraries."""

    def _python(code: str, folder: Path, libraries: list[str] | None = None) -> str:
        named = clean_process.named_in(folder / requirements.FILE) if libraries is None else libraries
        (tmp_path / "code.py").write_text(code)
        done = clean_process.run(tmp_path / "code.py", folder=folder, libraries=named)
        assert not done.returncode, done.stderr
        return done.stdout

    return _python


class Answer(NamedTuple):
    """What a package's example prints, and the modules that it has loaded."""

    printed: str
    modules: set[str]


@pytest.fixture
def example(made, python):
    """The example in a package's card by its runtime, by jax alone or by onnxruntime alone."""

    def _example(name: str, which: str) -> Answer:
        codes = re.findall(r"```python\n(.*?)```", (made[name] / "README.md").read_text(), re.DOTALL)
        engines = json.loads((made[name] / "signature.json").read_text())["engines"]
        assert len(codes) == 1 + len(engines)
        libraries = None if which == "runtime" else clean_process.with_needs(requirements.ENGINES[which])
        shown = "\nimport sys\nprint('modules:', *sys.modules, sep=chr(10))"
        output = python(codes[ENGINES.index(which)] + shown, made[name], libraries)
        printed, _, modules = output.rpartition("modules:\n")
        return Answer(printed, set(modules.splitlines()))

    return _example


def sample(folder: Path) -> dict:
    return json.loads((folder / "sample/expected.json").read_text())["samples"][0]


UNUSED = {
    "images": ("tokenizers", "tiktoken"),
    "texts": ("PIL", "tiktoken"),
    "tags": ("PIL", "tokenizers", "tiktoken"),
    "writer": ("PIL",),
}


@pytest.mark.parametrize("name", UNUSED)
def test_the_card_s_example_answers(made, example, name):
    """By the libraries that requirements.txt names, of which it loads only what it needs."""
    answer = example(name, "runtime")
    assert "runtime.package" in answer.modules
    engines = json.loads((made[name] / "signature.json").read_text())["engines"]
    assert not answer.modules & {*UNUSED[name], *({"jax", "safetensors"} if "onnx" in engines else ())}
    if name == "writer":
        assert answer.printed.strip()
        return
    found = literal_eval(answer.printed)
    if name == "images":
        expected = sample(made[name])["answer"]
        assert found["label"] == expected["label"]
        assert found["probability"] == pytest.approx(expected["probability"], abs=2e-4)
    else:
        labels = json.loads((made[name] / "labels.json").read_text())["labels"]
        given = found["labels"] if name == "tags" else [found["label"]]
        assert len(given) == (5 if name == "tags" else 1)
        assert set(given) <= set(labels)


@pytest.mark.parametrize("which", ["jax", "onnx"])
@pytest.mark.parametrize("name", NAMES)
def test_so_do_those_without_the_runtime(made, example, name, which):
    """Raw arrays in, outputs of the signature's shape out."""
    signature = json.loads((made[name] / "signature.json").read_text())
    if which not in signature["engines"]:
        assert name == "writer" or which == "onnx"
        assert "There is no `model.onnx`: " in (made[name] / "README.md").read_text()
        return
    answer = example(name, which)
    shape = literal_eval(answer.printed)
    outputs = signature["outputs"][0]["shape"]
    assert len(shape) == len(outputs)
    assert shape[-1] == outputs[-1]
    assert not {"runtime", "runtime.package"} & answer.modules


@pytest.mark.parametrize("name", NAMES)
def test_the_card_lists_every_file(made, name):
    card = (made[name] / "README.md").read_text()
    (table,) = re.findall(r"## Files\n\n(.*?)\n\n", card, re.DOTALL)
    listed = {
        one.rstrip("/") for one in re.findall(r"^\| (`.*?`) +\|", table, re.MULTILINE) for one in one.split("`")[1::2]
    }
    assert listed == {path.name for path in made[name].iterdir()} - {"README.md"}
    source = json.loads((made[name] / "provenance.json").read_text())["data"]["source"]
    assert f"No file beside the data ({source}) names its licence" in card


def image_files(folder: Path) -> dict[str, bytes]:
    """Images whose pixels depend on how they are read."""
    random = np.random.default_rng(0)
    deep = Image.fromarray(random.integers(0, 1 << 16, (40, 60), np.uint16))
    photo = Image.fromarray(random.integers(0, 256, (200, 300, 4), np.uint8), "CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    files = {"deep.png": (deep, {}), "photo.jpg": (photo, {"exif": exif, "quality": 90})}
    files["clear.png"] = (Image.fromarray(random.integers(0, 256, (28, 28, 4), np.uint8), "RGBA"), {})
    files["large.webp"] = (Image.fromarray(random.integers(0, 256, (500, 100, 3), np.uint8)), {"lossless": True})
    contents = {}
    for name, (image, options) in files.items():
        image.save(out := io.BytesIO(), {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name.split(".")[1]], **options)
        contents[name] = out.getvalue()
        (folder / name).write_bytes(out.getvalue())
    return contents


def test_images_have_the_pixels_that_they_have_in_preprocessing(made, python, tmp_path):
    files = image_files(tmp_path)
    code = """
import sys
from pathlib import Path
import numpy as np
from runtime.predictor import Predictor
predictor = Predictor(Path())
for path in map(Path, sys.argv[1:]):
    np.save(path.with_suffix(".npy"), predictor.encode(path.read_bytes(), path.name)[0])
"""
    paths = [str(tmp_path / name) for name in files]
    python(f"import sys; sys.argv[1:] = {paths}\n{code}", made["images"])
    settings = json.loads((made["images"] / "config.json").read_text())["preprocessing"]
    pixels = decoded([(content, name) for name, content in files.items()], ImagePreprocessing(**settings).spec, 0)
    for name, expected in zip(files, pixels, strict=True):
        np.testing.assert_array_equal(np.load((tmp_path / name).with_suffix(".npy")), expected, err_msg=name)


def test_compiled_code_does_not_make_it_a_damaged_one(made, tmp_path):
    folder = Path(shutil.copytree(made["tags"], tmp_path / "package"))
    compileall.compile_dir(folder / "runtime", quiet=1)
    assert list(folder.glob("runtime/__pycache__/*"))
    manifest.verify(folder)
    (folder / "runtime" / "more.py").write_text("")
    with pytest.raises(UserError, match=r"runtime/more.py is not in manifest\.json"):
        manifest.verify(folder)


def test_a_wrong_kind_of_package_says_so(made):
    from pipeline.runtime.generator import Generator
    from pipeline.runtime.predictor import Predictor

    with pytest.raises(UserError, match="contains a language model, which has no labels"):
        Predictor(made["writer"])
    with pytest.raises(UserError, match="contains a model for classification, which cannot generate text"):
        Generator(made["texts"])
