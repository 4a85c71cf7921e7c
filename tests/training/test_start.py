"""Where a run starts: at its own newest checkpoint, at that of a run on other devices, or at the first step."""

from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest
import small_tasks

from pipeline.config import paths
from pipeline.config.networks import LinearConfig
from pipeline.runtime.errors import UserError
from pipeline.training import resume, trainer
from pipeline.training.checkpoints import files, naming
from pipeline.training.checkpoints.checkpointer import Checkpointer
from pipeline.training.run import TrainingRun, to_checkpoint
from pipeline.training.trainer import State

RECORD = {
    "params": {"seed": 0, "training": {"epochs": 2, "mesh": None}},
    "inputs": {"data/features/train": "0"},
    "device": {"platform": "cpu"},
}
ELSEWHERE = RECORD | {
    "params": {"seed": 0, "training": {"epochs": 2, "mesh": {"data": 2, "fsdp": 1}}},
    "device": {"platform": "gpu"},
}


@pytest.fixture(scope="module")
def state() -> State:
    return trainer.start(LinearConfig(ngrams=1, buckets=16), small_tasks.texts(), lambda _: optax.sgd(0.1), seed=0)[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("CHECKPOINT_FROM", raising=False)


def folder(name: str) -> Path:
    return paths.CHECKPOINTS / name


def save(name: str, state: State, step: int, record: Any, **facts: Any) -> None:
    """A checkpoint of the run `name` at that step of the first epoch."""
    saved = to_checkpoint(TrainingRun(state._replace(step=np.int32(step)), steps_done=step))  # type: ignore[arg-type]
    checkpointer = Checkpointer(folder(name), every=0, facts={"made_from": record, **facts})
    checkpointer.save(naming.checkpoint_name(1, step), saved.arrays, saved.facts, wait=True)


@pytest.mark.parametrize(
    ("own", "other", "step", "moved_from"),
    [
        (False, False, 0, []),
        (True, False, 5, []),
        (True, True, 5, []),
        (False, True, 9, ["earlier", "other"]),
    ],
)
def test_the_table_of_cases(state, monkeypatch, capsys, own, other, step, moved_from):
    if own:
        save("own", state, 4, RECORD)
        save("own", state, 5, RECORD)
    if other:
        save("other", state, 9, ELSEWHERE, moved_from=["earlier"])
        monkeypatch.setenv("CHECKPOINT_FROM", "other")
    run, moved = resume.start(folder("own"), RECORD, state)
    assert (int(run.state.step), run.steps_done, moved) == (step, step, moved_from)
    said = f"resuming from step {step} in epoch 1\n" if step else ""
    assert capsys.readouterr().err == said


def test_it_remembers_where_it_was_moved_from(state):
    save("own", state, 5, RECORD, moved_from=["other"])
    assert resume.start(folder("own"), RECORD, state).moved_from == ["other"]


def test_where_all_its_own_are_damaged_it_starts_anew(state, capsys):
    save("own", state, 5, RECORD)
    (folder("own") / naming.checkpoint_name(1, 5) / naming.SEAL).write_text("{}")
    assert int(resume.start(folder("own"), RECORD, state).run.state.step) == 0
    assert "a checkpoint is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nothing", "../own", "."])
def test_a_run_without_checkpoints_is_refused(state, monkeypatch, name):
    save("own", state, 5, RECORD)
    monkeypatch.setenv("CHECKPOINT_FROM", name)
    with pytest.raises(
        UserError, match=r"CHECKPOINT_FROM: no run .* has a checkpoint: `python -m pipeline checkpoints"
    ):
        resume.start(folder("new"), RECORD, state)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (RECORD | {"inputs": {"data/features/train": "1"}}, "is another run, .* they differ in inputs"),
        (RECORD | {"params": {"seed": 1, "training": {}}}, "is another run, .* they differ in params"),
        ({}, "does not say what the run was made from"),
        (None, "does not say what the run was made from"),
    ],
)
def test_another_run_is_refused(state, monkeypatch, record, message):
    save("other", state, 5, record)
    monkeypatch.setenv("CHECKPOINT_FROM", "other")
    with pytest.raises(UserError, match=f"CHECKPOINT_FROM: .*{message}"):
        resume.start(folder("own"), RECORD, state)


def test_a_process_without_the_shared_files_says_so(tmp_path):
    with pytest.raises(UserError, match=r"process 0 can read it, and this process cannot: .* a shared file system"):
        resume._shared(tmp_path / naming.checkpoint_name(1, 5))
    assert files.newest(tmp_path) is None
