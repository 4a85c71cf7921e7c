"""The self-test runs a package's own code from raw inputs, and sees what makes it answer otherwise than evaluate."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.packaging.selftest import comparison
from pipeline.runtime.encoders import images, text_tokenizer
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


@pytest.fixture
def copied(four_packages: list[Path], tmp_path):
    """A copy of one of the packages, and what compares it with evaluate once it is sealed again."""

    def _copied(name: str):
        (made,) = (folder for folder in four_packages if folder.parent.name == name)
        folder, here = Path(shutil.copytree(made, tmp_path / "package")), made.parent

        def compare() -> str:
            manifest.seal(folder)
            return comparison.compare(folder, here / "data/prepared/test.parquet", here / "evaluation/test.parquet")

        return folder, compare

    return _copied


def prepared(four_packages: list[Path], name: str, column: str) -> list:
    (made,) = (folder for folder in four_packages if folder.parent.name == name)
    return pq.read_table(made.parent / "data/prepared/test.parquet")[column].to_pylist()


def test_some_images_are_resized_some_texts_cut_and_some_sentences_split(four_packages):
    sizes = {images.outside(content)[:2] for content in prepared(four_packages, "images", "image")}
    assert sizes == {(4, 4)}  # the model's are of 28 x 28
    (folder,) = (folder for folder in four_packages if folder.parent.name == "texts")
    longest = json.loads((folder / "config.json").read_text())["preprocessing"]["max_length"]
    tokenizer = text_tokenizer.load(folder / "tokenizer.json")
    assert any(len(x) > longest for x in text_tokenizer.encode(tokenizer, prepared(four_packages, "texts", "text")))
    assert max(map(len, prepared(four_packages, "tags", "words"))) > 2


@pytest.mark.parametrize("name", ["images", "texts", "tags", "writer"])
def test_a_good_package_passes_by_each_of_its_engines(copied, name):
    folder, compare = copied(name)
    summary = compare()
    for engine in json.loads((folder / "signature.json").read_text())["engines"] if name != "writer" else ():
        assert f"by {engine}" in summary


@pytest.mark.parametrize("name", ["images", "texts", "tags", "writer"])
def test_other_weights_are_seen(copied, name):
    folder, compare = copied(name)
    weights = load_file(folder / "model.safetensors")
    save_file({key: np.asarray(x * 1.01, x.dtype) for key, x in weights.items()}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"(by jax|losses) are up to .* off evaluate's, .*: do not use it"):
        compare()


@pytest.mark.parametrize(
    ("name", "file", "was", "now"),
    [
        ("images", "runtime/encoders/images.py", "np.asarray(image).reshape", "np.asarray(image)[::-1].reshape"),
        ("texts", "config.json", '"max_length": 3', '"max_length": 2'),
        ("tags", "config.json", '"lowercase": true', '"lowercase": false'),
    ],
)
def test_another_encoder_is_seen(copied, name, file, was, now):
    folder, compare = copied(name)
    text = (folder / file).read_text()
    assert was in text
    (folder / file).write_text(text.replace(was, now))
    if name == "tags":  # upper case, which then has no id
        words = json.loads((folder / "words.json").read_text())
        words["words"] = [word.upper() for word in words["words"]]
        (folder / "words.json").write_text(json.dumps(words))
    with pytest.raises(UserError, match=r"are up to .* off evaluate's"):
        compare()


def test_a_sample_that_is_answered_otherwise_is_seen(copied):
    folder, compare = copied("texts")
    path = folder / "sample/expected.json"
    samples = json.loads(path.read_text())["samples"]
    samples[1]["answer"]["probability"] += 0.01
    path.write_text(json.dumps({"samples": samples}))
    with pytest.raises(UserError, match=r"is answered by .*: do not use the package"):
        compare()


@pytest.mark.parametrize("name", ["images", "writer"])
def test_it_needs_no_library_that_its_requirements_lack(copied, name):
    folder, compare = copied(name)
    path = folder / "runtime" / ("generator.py" if name == "writer" else "predictor.py")
    path.write_text(path.read_text().replace("import numpy as np", "import numpy as np\nimport pandas", 1))
    with pytest.raises(UserError, match=r"its own code fails \(No module named 'pandas'\)"):
        compare()


def test_a_refusal_of_its_own_is_told(copied):
    folder, compare = copied("images")
    (folder / "runtime/predictor.py").write_text("from .errors import UserError\nraise UserError('my own code')\n")
    with pytest.raises(UserError, match=r"its own code fails \(my own code\)"):
        compare()


def test_one_that_is_damaged_is_not_run(copied, four_packages):
    folder, compare = copied("images")
    compare()
    (folder / "runtime/predictor.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match=r"runtime/predictor\.py is damaged"):
        comparison.compare(folder, folder, folder)
