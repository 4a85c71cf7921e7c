"""A package answers raw images, in a clean process, far from the repository's training code."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from clone import run
from PIL import Image

pytestmark = pytest.mark.slow

PREDICT = "python -m pipeline predict package"


def test_answers_images_of_any_size_and_mode(small, tmp_path):
    Image.new("RGBA", (300, 200), "red").save(tmp_path / "a.png")
    Image.new("CMYK", (50, 80)).save(tmp_path / "b.jpg")
    (tmp_path / "Thumbs.db").write_bytes(b"left by a system")
    answers = [json.loads(line) for line in run(f"{PREDICT} '{tmp_path}' --json", small).splitlines()]
    assert [Path(answer["input"]).name for answer in answers] == ["a.png", "b.jpg"]
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answer["probability"] == max(answer["probabilities"].values())


def test_says_what_evaluate_said(small):
    expected = json.loads((small / "package/sample/expected.json").read_text())["samples"]
    rows = list(csv.DictReader(io.StringIO(run(f"{PREDICT} package/sample/[0-9].png --csv", small))))
    for row, one in zip(rows, expected, strict=True):
        assert row["label"] == one["answer"]["label"]
        assert float(row["probability"]) == pytest.approx(one["answer"]["probability"], abs=2e-4)
    table = run(f"{PREDICT} package/sample/0.png", small)
    assert re.fullmatch(r"probability  label +input\n +\d\.\d{4}  .+  package/sample/0.png\n", table)


def test_a_file_that_is_no_image_is_named_and_the_others_answered(small, tmp_path):
    shutil.copy(small / "package/sample/0.png", tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "cut.png").write_bytes((small / "package/sample/0.png").read_bytes()[:100])
    output = run(f"{PREDICT} '{tmp_path}' '{tmp_path}/missing.png'", small, code=1)
    assert output.count("error: ") == 5
    for name in ("empty.png: is empty", "text.png: is not a readable", "cut.png: is not", "missing.png: No such file"):
        assert name in output
    assert "good.png" in output
    assert "Traceback" not in output


def test_the_package_alone_answers_and_explains(small, tmp_path):
    package = Path(shutil.copytree(small / "package", tmp_path / "elsewhere"))
    expected = json.loads((package / "sample/expected.json").read_text())["samples"][0]["answer"]
    answer = json.loads(run("python -m runtime predict . --json --explain ../out sample/0.png --top 2", package))
    assert answer["label"] == expected["label"]
    assert answer["top"][0]["label"] == expected["label"]
    (explained,) = answer["explanations"]
    assert explained["of"] == expected["label"]
    assert (explained["method"], explained["completeness_error"] < 0.1) == ("integrated", True)
    with Image.open(package / explained["picture"]) as picture:
        picture.load()
    for method in ("cam", "occlusion"):
        said = run(f"python -m runtime predict . --json --explain ../out sample/0.png --method {method}", package)
        assert json.loads(said)["explanations"][0]["method"] == method
    assert "--method: says how --explain explains" in run(
        "python -m runtime predict . sample/0.png --method cam", package, code=1
    )
    run("python -m runtime predict . sample/0.png", package)  # it is still whole
    assert "no command 'predic'; the commands: predict" in run("python -m runtime predic", package, code=2)
    assert "usage: python -m runtime predict" in run("python -m runtime predict --help", package)


def test_many_files(small, tmp_path):
    random = np.random.default_rng(0)
    for i in range(300):
        Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(tmp_path / f"{i:03}.png")
    assert len(run(f"{PREDICT} '{tmp_path}' --csv", small).splitlines()) == 301


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("rm package/manifest.json", "not a package"),
        ("rm -r package", "no such folder"),
        ("rm package/labels.json", "labels.json is missing"),
        ("echo > package/extra", "extra is not in manifest.json"),
        ("printf x >> package/model.safetensors", "model.safetensors is damaged"),
        ("echo '[]' > package/manifest.json", "not the manifest of a package"),
        ("echo '{' > package/manifest.json", "not readable as JSON"),
    ],
)
def test_a_damaged_package_is_refused(copy, spoil, message):
    run(f"chmod -R u+w package && {spoil}", copy)
    output = run(f"{PREDICT} package/sample/0.png", copy, code=1)
    assert message in output
    assert len(output.strip().splitlines()) == 1


def test_a_flipped_bit_is_found(copy):
    path = copy / "package/model.safetensors"
    run("chmod -R u+w package", copy)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "model.safetensors is damaged" in run(f"{PREDICT} package/sample/0.png", copy, code=1)


def test_nothing_in_the_package_tells_of_a_place_or_a_time(small):
    for path in (small / "package").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(small).encode() not in content
            assert not re.search(rb"20\d\d-\d\d-\d\d", content)


def test_help_is_quick_to_load(small):
    """It imports neither jax nor numpy."""
    probe = (
        "import sys; sys.argv = ['predict', '--help']; from pipeline.runtime.commands import predict\n"
        "try: predict.main()\n"
        "except SystemExit: print({'jax', 'numpy', 'PIL'} & set(sys.modules))"
    )
    assert run(f'python -c "{probe}"', small).splitlines()[-1] == "set()"
