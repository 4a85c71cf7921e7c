"""A release is a git tag: who has access to the git and the DVC remote fetches the package of a version, or of a stage.

docs/deployment.md does the same with the project's own dvc.yaml.
"""

import json
import shutil
from pathlib import Path

import pytest
from clone import run
from imports import TOP
from ruamel.yaml import YAML

from pipeline.runtime.predictor import Predictor
from pipeline.runtime.trust import manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def origin(old: Path, old_numbers: Path, tmp_path: Path) -> Path:
    """A git remote with two versions, the older one in use. The stage that makes a package here only copies one."""
    here = tmp_path / "here"
    here.mkdir()
    run("git init -q -b main && dvc init -q", here)
    run(f"git init -q --bare -b main ../origin.git && dvc remote add -q -d storage {tmp_path}/storage", here)
    run("git remote add origin ../origin.git", here)
    artifacts = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())["artifacts"]
    stage = {"cmd": "rm -rf package && cp -r ${source} package", "params": ["source"], "outs": ["package"]}
    with (here / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": {"package": stage}, "artifacts": artifacts}, file)
    for version, package in (("v1.0.0", old), ("v1.1.0", old_numbers)):
        (here / "params.yaml").write_text(f"source: {package}\nmodel: cnn\ndataset: mine\n")
        (here / "package.sig").write_text(version)
        run("dvc repro -q && git add -A && git commit -q -m run && git push -q origin main && dvc push -q", here)
        run(f"gto register classifier --version {version} --push", here)
    run("gto assign classifier --version v1.0.0 --stage prod --push", here)
    assert run("git tag", here).split() == ["classifier#prod#1", "classifier@v1.0.0", "classifier@v1.1.0"]
    shutil.rmtree(here)  # only the remotes are left
    return tmp_path / "origin.git"


def test_versions_and_stages_are_fetched_and_imported_elsewhere(origin, old, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for option, task in (("", "regression"), ("--rev v1.0.0", "classification"), ("--stage prod", "classification")):
        run(f"rm -rf package && dvc artifacts get {origin} classifier {option} -o package", elsewhere)
        manifest.verify(elsewhere / "package")
        assert json.loads((elsewhere / "package/config.json").read_text())["task"] == task
    run(f"dvc get {origin} package.sig --rev classifier@v1.0.0", elsewhere)
    assert (elsewhere / "package.sig").read_text() == "v1.0.0"
    predictor, ours = Predictor(elsewhere / "package"), Predictor(old)
    image = (old / "sample/0.png").read_bytes()
    encoded = [predictor.encode(image, "a sample")]
    assert predictor.answers(encoded) == ours.answers(encoded)
    assert "Unable to find artifact 'classifier @ v2'" in run(
        f"dvc artifacts get {origin} classifier --rev v2", elsewhere, code=1
    )
    run(f"git init -q && dvc init -q && dvc import -q {origin} package -o in --rev classifier@v1.0.0", elsewhere)
    manifest.verify(elsewhere / "in")
    assert "rev: classifier@v1.0.0" in (elsewhere / "in.dvc").read_text()
