"""Several processes train as one: as one device does but for the last bits, at the same bits each time, also when one
of them is killed and all start again.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import clone
import pandas as pd
import prose
import psutil
import pytest
from imports import TOP
from repro import stage_of
from ruamel.yaml import YAML
from small_packages import dump

from pipeline.runtime import strict_json
from pipeline.runtime.hashes import sha256

LAUNCH = f"{sys.executable} {TOP / 'tests/harness/launch.py'} 2"
EPOCHS = 60


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """Examples for the train stage."""
    folder = clone.make(tmp_path_factory.mktemp("processes") / "clone", train=600, test=100)
    set_training(folder, epochs=1)
    clone.run("dvc repro preprocess", folder)
    return folder


def set_training(folder: Path, *, epochs: int, mesh: str = "null", rate: str = "1.0e-3") -> None:
    """The cnn's settings."""
    clone.run("git checkout -q params.yaml", folder)
    path = folder / "params.yaml"
    above, cnn, rest = path.read_text().partition("  cnn:\n")
    rest = rest.replace("      epochs: 5\n", f"      epochs: {epochs}\n      mesh: {mesh}\n", 1)
    path.write_text(above + cnn + rest.replace("learning_rate: 1.0e-3", f"learning_rate: {rate}", 1))


def train(folder: Path, *, code: int = 0, **extra: str) -> str:
    return clone.run("dvc repro -s train", folder, code=code, **extra)


def forget(folder: Path) -> None:
    """As if nothing had been trained."""
    clone.run("rm -rf .checkpoints logs model trained_on.json dvc.lock .dvc/cache/runs", folder)


def weights(folder: Path) -> str:
    return sha256(folder / "trained/weights.safetensors")


def ranks(folder: Path) -> dict[int, psutil.Process]:
    """The processes of a training run in the folder."""
    found = {}
    for process in psutil.process_iter():
        try:
            if stage_of(process) == "train" and Path(process.cwd()) == folder:
                found[int(process.environ()["TRAIN_RANK"])] = process
        except (psutil.Error, OSError, KeyError):
            continue
    return found


@pytest.fixture
def interrupted(ready) -> Iterator[subprocess.Popen[str]]:
    """A run of two processes that share out the weights, with a checkpoint behind it and an epoch: all is compiled that
    they do together. One that is killed before is missed by JAX, half a minute later, and not by a step.
    """
    set_training(ready, epochs=EPOCHS, mesh="{data: 1, fsdp: 2}")
    forget(ready)
    command = ["dvc", "repro", "-s", "train"]
    environment = clone.environment(LAUNCH=LAUNCH, CHECKPOINT_SECONDS="0.1")
    with subprocess.Popen(
        command, cwd=ready, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        log = ready / "logs/train.jsonl"
        while run.poll() is None and not (
            list(ready.glob(".checkpoints/*/[0-9]*[0-9]")) and log.exists() and "train_loss" in log.read_text()
        ):
            time.sleep(0.05)
        yield run
        run.kill()


@pytest.mark.slow
def test_two_processes_are_as_one(ready):
    set_training(ready, epochs=1)
    train(ready)
    alone = pd.read_csv(ready / "trained/history.csv")
    for mesh in ("{data: 2, fsdp: 1}", "{data: 1, fsdp: 2}"):
        set_training(ready, epochs=1, mesh=mesh)
        assert "on 2 x cpu of 2 processes" in train(ready, LAUNCH=LAUNCH)
        pd.testing.assert_frame_equal(pd.read_csv(ready / "trained/history.csv"), alone, rtol=1e-5)
        first = weights(ready)
        forget(ready)
        assert "epoch 1:" in train(ready, LAUNCH=LAUNCH)
        assert weights(ready) == first


@pytest.mark.slow
def test_two_processes_train_a_language_model(tmp_path):
    """Each reads windows of its own; or both the same ones, for their shares of the layers."""
    folder = prose.make(tmp_path, "gpt", epochs=2, epoch_steps=6)
    for stage in ("prepare", "preprocess", "train"):
        clone.run(f"{sys.executable} -m pipeline {stage}", folder)
    alone = pd.read_csv(folder / "trained/history.csv")
    for mesh in ({"data": 2, "fsdp": 1}, {"data": 1, "fsdp": 2}, {"data": 1, "fsdp": 1, "tensor": 2}):
        found = set()
        for _ in range(2):
            content = YAML(typ="safe").load((folder / "params.yaml").read_text())
            content["models"]["gpt"]["training"] |= {"mesh": mesh}
            dump(content, folder / "params.yaml")
            clone.run("rm -rf .checkpoints model trained_on.json", folder)
            assert "of 2 processes" in clone.run(f"{LAUNCH} {sys.executable} -m pipeline train", folder)
            pd.testing.assert_frame_equal(pd.read_csv(folder / "trained/history.csv"), alone, rtol=1e-5)
            found.add(weights(folder))
        assert len(found) == 1


@pytest.mark.slow
def test_one_is_killed_and_all_go_on(ready, interrupted):
    """Whichever it is, the others end by themselves; the same command goes on, to the bytes of a run without a stop."""
    for rank in (1, 0):
        if rank == 0:
            interrupted = subprocess.Popen(
                ["dvc", "repro", "-s", "train"],
                cwd=ready,
                env=clone.environment(LAUNCH=LAUNCH, CHECKPOINT_SECONDS="0.1"),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            while len(ranks(ready)) < 2:
                time.sleep(0.05)
            time.sleep(8)  # they have met, and train
        ranks(ready)[rank].kill()
        said, _ = interrupted.communicate(timeout=240)
        assert interrupted.returncode == 255
        assert not ranks(ready)
        assert rank == 0 or "error: process 0 of 2: a step failed, as when another process has ended" in said
        assert "Traceback" not in said
    assert "going on from step" in train(ready, LAUNCH=LAUNCH)
    resumed = weights(ready)
    forget(ready)
    straight = train(ready, LAUNCH=LAUNCH)
    assert "epoch 1:" in straight
    assert "going on" not in straight
    assert weights(ready) == resumed


@pytest.mark.slow
def test_a_run_goes_on_elsewhere(ready, interrupted):
    """Asked to end, both save and end; one device goes on from there, when it is told to, and says so."""
    for process in ranks(ready).values():
        process.send_signal(signal.SIGTERM)
    said, _ = interrupted.communicate(timeout=240)
    assert "stopped and saved at step" in said
    (run,) = (path.name for path in (ready / ".checkpoints").iterdir())

    set_training(ready, epochs=EPOCHS, rate="2.0e-3")
    assert f"CHECKPOINT_FROM: {run} is another run" in train(ready, code=255, CHECKPOINT_FROM=run)
    assert "no run '../model' has a checkpoint" in train(ready, code=255, CHECKPOINT_FROM="../model")

    set_training(ready, epochs=EPOCHS)
    assert "going on from step" in train(ready, CHECKPOINT_FROM=run)
    assert strict_json.read(ready / "trained_on.json")["moved_from"] == [run]
    moved = pd.read_csv(ready / "trained/history.csv")
    forget(ready)
    train(ready)
    assert "moved_from" not in strict_json.read(ready / "trained_on.json")
    straight = pd.read_csv(ready / "trained/history.csv")
    pd.testing.assert_frame_equal(moved.head(), straight.head(), rtol=1e-3)


def test_what_does_not_meet(ready):
    set_training(ready, epochs=1)
    said = train(ready, code=255, LAUNCH=LAUNCH)
    assert "error: process 0 of 2: training.mesh: says how 2 processes train as one: set it to" in said
    said = train(ready, code=255, LAUNCH="JAX_COORDINATOR_ADDRESS=127.0.0.1:1 TRAIN_NPROCS=2 TRAIN_RANK=one")
    assert "error: TRAIN_RANK: beside JAX_COORDINATOR_ADDRESS it must be a number, 0 or more, not 'one'" in said
    assert "Traceback" not in said
