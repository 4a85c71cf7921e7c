"""A package runs by the code in it, away from the repository: its card's example, on inputs of any form."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.encoding.images import decoded
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


@pytest.fixture(scope="module")
def made(four_packages: list[Path], tmp_path_factory) -> dict[str, Path]:
    """A package of each task, with nothing of the repository around it."""
    top = tmp_path_factory.mktemp("elsewhere")
    folders = {folder.parent.name: folder for folder in four_packages}
    return {name: Path(shutil.copytree(folder, top / name)) for name, folder in folders.items()}


def python(code: str, folder: Path) -> str:
    """What a new process prints that can import only libraries and what lies in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-s", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


class Answer(NamedTuple):
    """What a package's example prints, and the modules that it has loaded."""

    printed: str
    modules: set[str]


@pytest.fixture(scope="module")
def answers(made) -> dict[str, Answer]:
    """Of the example in each package's card."""
    found = {}
    for name, folder in made.items():
        (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
        output = python(f"{code}\nimport sys\nprint('modules:', *sys.modules, sep=chr(10))", folder)
        printed, _, modules = output.rpartition("modules:\n")
        found[name] = Answer(printed, set(modules.splitlines()))
    return found


def sample(folder: Path) -> dict:
    return json.loads((folder / "sample/expected.json").read_text())["samples"][0]


@pytest.mark.parametrize("name", ["images", "texts"])
def test_the_card_s_example_labels_a_sample(made, answers, name):
    answer, expected = literal_eval(answers[name].printed), sample(made[name])["answer"]
    assert answer["label"] == expected["label"]
    assert answer["probability"] == pytest.approx(expected["probability"], abs=2e-4)


def test_the_card_s_example_tags_a_sample(made, answers):
    answer = literal_eval(answers["tags"].printed)
    assert answer["labels"] == sample(made["tags"])["answer"]["labels"]


def test_the_card_s_example_scores_a_sample_and_generates_text(made, answers):
    first, *text = answers["writer"].printed.splitlines()
    assert float(first.removesuffix(" nats")) == pytest.approx(sample(made["writer"])["nats"], abs=0.01)
    assert text


UNUSED = {
    "images": ("tokenizers", "tiktoken"),
    "texts": ("PIL", "tiktoken"),
    "tags": ("PIL", "tokenizers", "tiktoken"),
    "writer": ("PIL",),
}


@pytest.mark.parametrize("name", UNUSED)
def test_it_loads_no_library_that_it_does_not_need(answers, name):
    loaded = answers[name].modules
    assert "runtime.package" in loaded
    assert not loaded & {*UNUSED[name], "pipeline", "pydantic", "ruamel", "ruamel.yaml", "pandas", "flax", "optax"}


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


def test_images_have_the_pixels_that_they_have_in_preprocessing(made, tmp_path):
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
    python("import runtime.predictor", folder)
    assert list(folder.glob("runtime/__pycache__/*"))
    manifest.verify(folder)
    (folder / "runtime" / "more.py").write_text("")
    with pytest.raises(UserError, match=r"runtime/more.py is not in manifest\.json"):
        manifest.verify(folder)


def test_the_selftest_runs_the_package_s_own_code(made, tmp_path, monkeypatch, capsys):
    from pipeline.commands import selftest

    folder = Path(shutil.copytree(made["images"], tmp_path / "package"))
    (folder / "runtime/predictor.py").write_text("from .errors import UserError\nraise UserError('my own code')\n")
    manifest.seal(folder)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", ["selftest", str(folder), str(tmp_path), str(tmp_path)])
    try:
        with pytest.raises(UserError, match="my own code"):
            selftest.main()
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "runtime"]:
            del sys.modules[name]
    manifest.verify(folder)


def test_a_wrong_kind_of_package_says_so(made):
    from pipeline.runtime.generator import Generator
    from pipeline.runtime.predictor import Predictor

    with pytest.raises(UserError, match="contains a language model, which has no labels"):
        Predictor(made["writer"])
    with pytest.raises(UserError, match="contains a model for classification, which cannot generate text"):
        Generator(made["texts"])
