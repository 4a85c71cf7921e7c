"""Checkpoints are complete or do not exist; a damaged one is not used."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from pipeline.commands import checkpoints
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints import files, naming
from pipeline.training.checkpoints.checkpointer import Checkpointer
from pipeline.training.checkpoints.files import Checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.asarray(7, np.int32)}


def whole(run: Path) -> Checkpoint:
    """The newest complete checkpoint of a run that has one."""
    checkpoint = files.newest(run)
    assert checkpoint is not None
    return checkpoint


@pytest.fixture
def kept(tmp_path: Path) -> Checkpointer:
    """A run with three checkpoints, of which two are left."""
    checkpointer = Checkpointer(tmp_path / "run", every=0, facts={"model": "cnn", "seed": 0})
    for step in (1, 2, 3):
        arrays = ARRAYS | {"step": np.asarray(step, np.int32)}
        checkpointer.save(f"000001-{step:010}", arrays, {"epoch": 1, "step": step, "finished": False}, wait=True)
    return checkpointer


def newest(folder: Path) -> Path:
    return sorted(path for path in folder.iterdir() if path.name.startswith("0"))[-1]


def test_the_newest_two_are_kept(kept):
    assert sorted(path.name for path in kept.run.iterdir()) == ["000001-0000000002", "000001-0000000003"]
    checkpoint = whole(kept.run)
    assert checkpoint.facts == {"model": "cnn", "seed": 0, "epoch": 1, "step": 3, "finished": False}
    assert checkpoint.arrays["step"] == 3
    np.testing.assert_array_equal(checkpoint.arrays["a"], ARRAYS["a"])


def flipped(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "a bit of the weights": lambda folder: flipped(folder / "state.safetensors", 8 * 100 + 3),
    "a bit of the facts": lambda folder: flipped(folder / "facts.json", 200),
    "a bit of the seal": lambda folder: flipped(folder / "seal.json", 300),
    "weights cut short": lambda folder: os.truncate(folder / "state.safetensors", 20),
    "facts emptied": lambda folder: os.truncate(folder / "facts.json", 0),
    "no weights": lambda folder: (folder / "state.safetensors").unlink(),
    "no facts": lambda folder: (folder / "facts.json").unlink(),
    "no seal": lambda folder: (folder / "seal.json").unlink(),
    "nothing": lambda folder: [path.unlink() for path in folder.iterdir()],
    "a seal of nothing": lambda folder: (folder / "seal.json").write_text("{}"),
    "a seal that is a list": lambda folder: (folder / "seal.json").write_text("[]"),
    "a folder for weights": lambda folder: [(folder / "facts.json").unlink(), (folder / "facts.json").mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_set_aside_for_the_one_before(kept, damage, capsys):
    DAMAGES[damage](newest(kept.run))
    assert whole(kept.run).facts["step"] == 2
    warning = capsys.readouterr().err
    assert warning.startswith("warning: a checkpoint is damaged")
    assert "set aside as" in warning
    assert warning.count("\n") == 1
    DAMAGES[damage](newest(kept.run))
    assert files.newest(kept.run) is None
    assert sorted(path.name.split("-")[0] for path in kept.run.iterdir()) == ["damaged", "damaged"]


def test_every_single_bit_matters(kept):
    """Of the weights, wherever it lies: a restored state is the saved one or none."""
    path = newest(kept.run) / "state.safetensors"
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 13):
        flipped(path, bit)
        with pytest.raises(ValueError, match="another sha256"):
            files.read(path.parent)
        path.write_bytes(content)
    assert files.read(path.parent).facts["step"] == 3


def test_what_was_being_written_is_no_checkpoint(kept):
    (kept.run / "000001-0000000004.tmp").mkdir()
    with kept.only_writer():
        assert whole(kept.run).facts["step"] == 3
        assert not list(kept.run.glob("*.tmp"))


def test_a_state_that_is_not_finite_is_not_kept(kept):
    bad = ARRAYS | {"a": np.full((2, 3), np.nan, np.float32)}
    kept.save("000001-0000000004", bad, {"step": 4}, wait=True)
    assert whole(kept.run).facts["step"] == 3


def test_a_disk_that_is_full_only_warns(kept, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "state.safetensors")

    monkeypatch.setattr(files, "save_file", full)
    assert not kept.save("000001-0000000004", ARRAYS, {"step": 4}, wait=True)
    assert "warning: no checkpoint was written at 000001-0000000004 (no space left" in capsys.readouterr().err
    assert whole(kept.run).facts["step"] == 3


def test_list_and_clean(kept, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(naming.paths, "CHECKPOINTS", tmp_path)
    for what, expected in (
        ("list", ["interrupted", "cnn", "run"]),
        ("clean", ["run: removed"]),
        ("list", ["no checkpoints"]),
    ):
        monkeypatch.setattr(sys, "argv", ["checkpoint", what])
        checkpoints.main()
        out = capsys.readouterr().out
        assert all(part in out for part in expected)


@pytest.mark.parametrize("text", ["often", "-1", "nan", "inf", ""])
def test_the_interval_is_a_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv("CHECKPOINT_SECONDS", text)
    with pytest.raises(UserError, match="CHECKPOINT_SECONDS: must be a number of seconds"):
        naming.interval()


def test_it_is_due_by_a_clock_that_cannot_go_backwards(tmp_path, monkeypatch):
    checkpointer = Checkpointer(tmp_path / "run", every=100)
    assert not checkpointer.due()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert not checkpointer.due()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 101)
    assert checkpointer.due()


def test_training_goes_on_while_a_state_is_written(tmp_path):
    """The arrays that are written are those of the moment, though the next step would reuse their memory."""
    checkpointer = Checkpointer(tmp_path / "run", every=0)
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jax.numpy.zeros(1 << 20)
    for number in range(1, 6):
        x = step(x)
        checkpointer.save(f"000001-{number:010}", {"x": x}, {"step": number})
        x = step(step(x))
        checkpointer.wait()
        assert set(whole(checkpointer.run).arrays["x"]) == {3.0 * number - 2}


def test_the_fingerprint_is_of_all_facts():
    one = {"params": {"lr": 1e-3, "seed": 0}, "code": {"a.py": "1"}}
    assert naming.fingerprint(one) == naming.fingerprint(dict(reversed(one.items())))
    for other in (
        {**one, "code": {"a.py": "2"}},
        {**one, "machine": "gpu"},
        {**one, "params": {"lr": 1e-3, "seed": 1}},
    ):
        assert naming.fingerprint(one) != naming.fingerprint(other)
