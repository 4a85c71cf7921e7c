"""A training run has one writer at a time: a second one waits, or learns which process it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import TOP

from pipeline.commands import checkpoints
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints import checkpointer, lock
from pipeline.training.checkpoints.checkpointer import Checkpointer

HOLD = """
import sys, time
from pathlib import Path
from pipeline.training.checkpoints.checkpointer import Checkpointer
with Checkpointer(Path(sys.argv[1]), every=0).only_writer():
    print("mine", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    process = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "mine\n"
    return process


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = hold(tmp_path / "run", 600)
    with process:
        yield process
        process.kill()


def test_one_writer_at_a_time(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(checkpointer, "LOCK_TIMEOUT", 0.5)
    keeper = Checkpointer(tmp_path / "run", every=0)
    with (
        pytest.raises(UserError, match=f"process {holder.pid} is already running this training: .*`kill {holder.pid}`"),
        keeper.only_writer(),
    ):
        pass
    (row,) = checkpoints.rows(tmp_path)
    assert row["state"] == f"running: process {holder.pid}"
    lock.remove(tmp_path / "run")
    assert (tmp_path / "run").exists()
    holder.kill()
    holder.wait()
    with keeper.only_writer():
        assert (tmp_path / "run/lock").read_text() == f"{os.getpid()}\n"


def test_it_waits_for_one_that_ends(tmp_path):
    process = hold(tmp_path / "run", 1.0)
    with process, Checkpointer(tmp_path / "run", every=0).only_writer():
        assert (tmp_path / "run/lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_that_was_cleared_away_is_made_anew(tmp_path):
    process = hold(tmp_path / "run", 1.0)
    (tmp_path / "run/lock").unlink()
    with process, Checkpointer(tmp_path / "run", every=0).only_writer():
        assert (tmp_path / "run/lock").exists()
