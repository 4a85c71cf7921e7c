"""Several processes train as one: as one device does but for the last bits, at the same bits each time, also when one
of them is killed and all start again.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import clone
import compiled
import jax
import pandas as pd
import prose
import pytest
from repro import RESUMED
from ruamel.yaml import YAML
from small_packages import dump, run_stages, shrink
from two_processes import LAUNCH, checkpoints, forget, ranks, set_training, train, weights

from pipeline.parallel import processes
from pipeline.runtime import strict_json

pytestmark = pytest.mark.xdist_group("processes")  # for the clone

EPOCHS = 40


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """Examples for the train stage."""
    folder = clone.make(tmp_path_factory.mktemp("processes") / "clone")
    set_training(folder, epochs=1)
    clone.run("dvc repro preprocess", folder)
    return folder


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of two processes that share out the weights, and save at each chance."""
    kept = compiled.apart(folder.with_name("compiled"))
    environment = clone.environment(LAUNCH=LAUNCH, CHECKPOINT_SECONDS="0", **kept)
    command = ["dvc", "repro", "-s", "train"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        yield run
        run.kill()


def wait_for(run: subprocess.Popen[str], what: Callable[[], bool]) -> None:
    while run.poll() is None and not what():
        time.sleep(0.05)
    assert run.poll() is None, run.stdout and run.stdout.read()


@pytest.fixture
def interrupted(ready) -> Iterator[subprocess.Popen[str]]:
    """Such a run, with a checkpoint behind it and an epoch: all is compiled that they do together. One that is killed
    before is missed by JAX, half a minute later, and not by a step.
    """
    set_training(ready, epochs=EPOCHS, mesh="{fsdp: 2}")
    forget(ready)
    log = ready / "logs/train.jsonl"
    with running(ready) as run:
        wait_for(run, lambda: bool(checkpoints(ready)) and log.exists() and "train_loss" in log.read_text())
        yield run


def killed(run: subprocess.Popen[str], folder: Path, rank: int) -> str:
    """Kills one of the two, and waits for the other to end by itself; returns what was printed."""
    ranks(folder)[rank].kill()
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 255
    assert not ranks(folder)
    assert "Traceback" not in output, output
    return output


@pytest.mark.slow
def test_two_processes_are_as_one(ready):
    """That they end at the same bits each time is seen where they are killed: below for fsdp, on Ray for data."""
    set_training(ready, epochs=1)
    train(ready)
    alone = pd.read_csv(ready / "trained/history.csv")
    for mesh in ("{data: 2}", "{fsdp: 2}"):
        set_training(ready, epochs=1, mesh=mesh)
        assert "on 2 x cpu of 2 processes" in train(ready, LAUNCH=LAUNCH)
        pd.testing.assert_frame_equal(pd.read_csv(ready / "trained/history.csv"), alone, rtol=1e-5)


@pytest.mark.long
def test_two_processes_train_a_language_model(tmp_path, monkeypatch):
    """Each reads windows of its own; or both the same ones, for their shares of the layers."""
    shrink(monkeypatch)
    folder = prose.make(tmp_path, "gpt", epochs=2, epoch_steps=6)
    run_stages(folder, "prepare", "preprocess", "train")
    alone = pd.read_csv(folder / "trained/history.csv")

    def trained(**mesh: int) -> str:
        content = YAML(typ="safe").load((folder / "params.yaml").read_text())
        content["models"]["gpt"]["training"] |= {"mesh": mesh}
        dump(content, folder / "params.yaml")
        clone.run("rm -rf .checkpoints trained", folder)
        assert "of 2 processes" in clone.run(f"{LAUNCH} {sys.executable} -m pipeline train", folder)
        pd.testing.assert_frame_equal(pd.read_csv(folder / "trained/history.csv"), alone, rtol=1e-5)
        return weights(folder)

    trained(data=2, fsdp=1)
    trained(data=1, fsdp=1, tensor=2)
    assert trained(data=1, fsdp=2) == trained(data=1, fsdp=2)


@pytest.mark.slow
def test_one_is_killed_and_all_go_on(ready, interrupted):
    """Whichever it is, the others end by themselves; the same command goes on, to the bytes of a run without a stop."""
    output = killed(interrupted, ready, rank=1)
    assert "error: process 0 of 2: a step failed, probably because another process has ended" in output
    before = checkpoints(ready)[-1]
    with running(ready) as again:
        wait_for(again, lambda: checkpoints(ready)[-1:] > [before])  # they have met, and train
        killed(again, ready, rank=0)
    assert RESUMED in train(ready, LAUNCH=LAUNCH)
    resumed = weights(ready)
    forget(ready)
    straight = train(ready, LAUNCH=LAUNCH)
    assert "epoch 1:" in straight
    assert RESUMED not in straight
    assert weights(ready) == resumed


@pytest.mark.slow
def test_a_run_goes_on_elsewhere(ready, interrupted):
    """Asked to end, both save and end; one device goes on from there, when it is told to, and says so."""
    for process in ranks(ready).values():
        process.send_signal(signal.SIGTERM)
    output, _ = interrupted.communicate(timeout=240)
    assert "stopped and saved at step" in output
    (run,) = (path.name for path in (ready / ".checkpoints").iterdir())

    set_training(ready, epochs=EPOCHS, rate="2.0e-3")
    assert f"CHECKPOINT_FROM: {run} is another run" in train(ready, code=255, CHECKPOINT_FROM=run)
    assert "no run '../model' has a checkpoint" in train(ready, code=255, CHECKPOINT_FROM="../model")

    set_training(ready, epochs=EPOCHS)
    assert RESUMED in train(ready, CHECKPOINT_FROM=run)
    assert strict_json.read(ready / "logs/trained_on.json")["machine"]["moved_from"] == [run]
    moved = pd.read_csv(ready / "trained/history.csv")
    forget(ready)
    train(ready)
    assert "moved_from" not in strict_json.read(ready / "logs/trained_on.json")["machine"]
    straight = pd.read_csv(ready / "trained/history.csv")
    pd.testing.assert_frame_equal(moved.head(), straight.head(), rtol=1e-3)


def test_what_does_not_meet(ready):
    set_training(ready, epochs=7)  # as in no other test: DVC would restore the result
    output = train(ready, code=255, LAUNCH=LAUNCH)
    assert "error: process 0 of 2: training.mesh: 2 processes need one: set it to" in output
    output = train(ready, code=255, LAUNCH="JAX_COORDINATOR_ADDRESS=127.0.0.1:1 TRAIN_NPROCS=2 TRAIN_RANK=one")
    assert "error: TRAIN_RANK: must be a number, 0 or more, where JAX_COORDINATOR_ADDRESS is set, not 'one'" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection reset by peer"), True),
        (ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"), True),
        (jax.errors.JaxRuntimeError("INTERNAL: Barrier failed because: task is set to ERROR"), True),
        (ValueError("operands could not be broadcast together"), False),
        (KeyError("UNKNOWN: "), False),
    ],
)
def test_a_failed_collective_is_no_mistake_of_the_program(error, failed):
    assert processes.collective_failed(error) is failed


def test_a_failed_collective_ends_in_one_line_whatever_jax_raises(monkeypatch, capsys):
    def exits(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("os._exit", exits)
    lost = "UNKNOWN: Gloo AllGather failed: Connection reset by peer"
    for error in (ValueError(lost), jax.errors.JaxRuntimeError(lost)):
        with pytest.raises(SystemExit, match="75"), processes.distributed():
            raise error
        output = capsys.readouterr().err
        assert output.startswith("error: process 0 of 2: a step failed, probably because another process has ended")
        assert len(output.splitlines()) == 1
    with pytest.raises(ValueError, match="of our own"), processes.distributed():
        raise ValueError("a mistake of our own")
