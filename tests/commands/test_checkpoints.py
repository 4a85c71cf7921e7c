"""`python -m pipeline checkpoints clean`: which runs it removes, and which it must keep."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import checkpoints
from pipeline.config import paths
from pipeline.runtime.hashes import sha256
from pipeline.training.checkpoints import lock
from pipeline.training.checkpoints.checkpointer import Checkpointer

ARRAYS = {"a": np.zeros(3, np.float32)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a model in `trained`, and a run under way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    paths.TRAINED.mkdir()
    (paths.TRAINED / "weights.safetensors").write_bytes(b"the weights")
    run("under-way", None)
    return tmp_path


def run(name: str, result: str | None) -> None:
    """A run with a checkpoint; `result` is the hash of the weights that it ended with, if it did."""
    saved = Checkpointer(paths.CHECKPOINTS / name, every=0, facts={"model": "cnn", "seed": 0})
    saved.save("000001-0000000001", ARRAYS, {"epoch": 1, "step": 1, "finished": result is not None}, wait=True)
    if result:
        saved.finish(result)


def clean(monkeypatch: pytest.MonkeyPatch, *options: str) -> list[str]:
    """Returns the runs that are left."""
    monkeypatch.setattr("sys.argv", ["checkpoints", "clean", *options])
    checkpoints.main()
    return sorted(os.listdir(paths.CHECKPOINTS))


def test_recorded_runs_are_those_of_the_trained_model(here, monkeypatch):
    """Another finished run, whose result DVC may not have recorded yet, is kept."""
    run("recorded", sha256(paths.TRAINED / "weights.safetensors"))
    run("not-yet-recorded", "0" * 64)
    assert clean(monkeypatch, "--recorded") == ["not-yet-recorded", "under-way"]


def test_without_a_trained_model_no_run_is_recorded(here, monkeypatch):
    run("recorded", sha256(paths.TRAINED / "weights.safetensors"))
    (paths.TRAINED / "weights.safetensors").unlink()
    assert clean(monkeypatch, "--recorded") == ["recorded", "under-way"]


def test_without_an_option_all_go(here, monkeypatch):
    run("not-yet-recorded", "0" * 64)
    assert clean(monkeypatch) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weights": null}'])
def test_a_damaged_result_is_kept_and_stops_nothing(here, monkeypatch, content):
    for name in ("recorded", "damaged"):
        run(name, sha256(paths.TRAINED / "weights.safetensors"))
    (paths.CHECKPOINTS / "damaged/result.json").write_text(content)
    assert clean(monkeypatch, "--recorded") == ["damaged", "under-way"]


def test_a_recorded_run_that_is_under_way_is_kept(here, monkeypatch):
    run("recorded", sha256(paths.TRAINED / "weights.safetensors"))
    with lock.locked(paths.CHECKPOINTS / "recorded", timeout=0):
        assert clean(monkeypatch, "--recorded") == ["recorded", "under-way"]
