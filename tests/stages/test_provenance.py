"""Which machines made a model is recorded once for each model, whatever the file held before."""

import json
import shutil

import clone
import pytest
from imports import TOP

from pipeline.config import paths
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance


@pytest.fixture
def weights(tmp_path, monkeypatch) -> str:
    """The hash of the trained weights, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPROC", "2")
    monkeypatch.setenv("XLA_FLAGS", "")
    for folder in (paths.TRAINED, paths.LOGS, paths.MACHINES.parent):
        folder.mkdir(parents=True)
    shutil.copy(TOP / paths.VERSIONS, tmp_path)
    (paths.TRAINED / "weights.safetensors").write_bytes(b"weights")
    return sha256(paths.TRAINED / "weights.safetensors")


def recorded() -> dict:
    return json.loads(paths.MACHINES.read_text())


def test_a_file_that_names_these_weights_stays_as_it_is(weights):
    content = f'{{"weights": "{weights}", "train": {{}}, "evaluate": {{"platform": "another"}}}}'
    paths.MACHINES.write_text(content)
    provenance.record_machines()
    assert paths.MACHINES.read_text() == content


def test_the_record_of_the_last_commit_comes_back_after_an_experiment(weights, tmp_path):
    content = f'{{"weights": "{weights}", "train": {{}}, "evaluate": {{"platform": "another"}}}}'
    paths.MACHINES.write_text(content)
    clone.run("git init -q && git add metrics && git commit -q -m run", tmp_path)
    paths.MACHINES.write_text('{"weights": "of an experiment", "train": {}, "evaluate": {}}')
    provenance.record_machines()
    assert paths.MACHINES.read_text() == content


@pytest.mark.parametrize(
    "before",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        '{"train": {}, "evaluate": {}}',
        '{"weights": "0", "train": {}, "evaluate": {}}',
        '{"weights": "WEIGHTS"}',
        "\xff",
    ],
)
def test_any_other_file_is_replaced(weights, before):
    if before is not None:
        paths.MACHINES.write_text(before.replace("WEIGHTS", weights), encoding="latin-1")
    paths.TRAINED_ON.write_text(json.dumps({"weights": weights, "machine": {"platform": "abacus"}}))
    provenance.record_machines()
    assert recorded() == {"weights": weights, "train": {"platform": "abacus"}, "evaluate": provenance.machine()}


@pytest.mark.parametrize("before", [None, "{", "[]", '{"weights": "0", "machine": {"platform": "abacus"}}'])
def test_the_machine_of_another_training_is_not_recorded(weights, before):
    if before is not None:
        paths.TRAINED_ON.write_text(before)
    provenance.record_machines()
    assert recorded() == {"weights": weights, "train": {}, "evaluate": provenance.machine()}
