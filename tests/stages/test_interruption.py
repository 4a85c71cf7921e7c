"""Real DVC, killed, started twice, and edited under: no work is lost, and dvc.lock never says what is not so."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable

import pytest
from clone import run
from repro import RESUMED, Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("interruption")]  # for the measured clone


@pytest.fixture
def whole(measured: Pipeline) -> Pipeline:
    """The clone with its committed run."""
    measured.restore("whole")
    return measured


@pytest.fixture
def fresh(measured: Pipeline) -> Pipeline:
    """The clone without results of train and later stages."""
    measured.restore("fresh")
    return measured


def started(pipeline: Pipeline) -> int:
    """Starts `dvc repro train` and waits for training to have new checkpoints; returns the process that trains."""
    before = pipeline.checkpoints()[-1:]
    pipeline.start("train")
    assert pipeline.wait_for(lambda: len(found := pipeline.checkpoints()) > 1 and found[-1:] > before, 120), (
        pipeline.said()
    )
    stage = pipeline.stage()
    assert stage
    return stage.pid


def resumes(pipeline: Pipeline, *, to_the_end: bool = False) -> str:
    """Started again, it goes on from a checkpoint, and train ends as if nothing had been; or all stages do. Returns
    what it printed.
    """
    output = run(f"dvc repro {'' if to_the_end else 'train'}", pipeline.folder, CHECKPOINT_SECONDS="0.1")
    assert RESUMED in output
    assert pipeline.same("train")
    if to_the_end:
        assert pipeline.lock() == pipeline.reference
        assert not run("git status --porcelain", pipeline.folder)
        assert not list((pipeline.folder / ".checkpoints").iterdir())
    return output


def test_the_stage_is_stopped(fresh):
    """One run, in each way; and a changed one between, which does not go on from its state."""
    for number, said in (
        (signal.SIGKILL, "failed to reproduce 'train'"),
        (signal.SIGTERM, "stopped and saved at step"),
        (signal.SIGINT, "run the same command again to resume"),
    ):
        os.kill(started(fresh), number)
        assert fresh.finish() != 0
        assert said in fresh.said()
        assert "Traceback" not in fresh.said()
        assert (RESUMED in fresh.said()) == (number != signal.SIGKILL)
        assert "interrupted" in run("python -m pipeline checkpoints list", fresh.folder)
    run("sed -i 's/^seed: 0/seed: 1/' params.yaml", fresh.folder)
    assert RESUMED not in run("dvc repro train", fresh.folder, CHECKPOINT_SECONDS="0.1")
    run("git checkout -q params.yaml", fresh.folder)
    resumes(fresh)


def test_a_stage_dies_with_its_dvc(fresh):
    """And where all is started again at once, the new one waits for the one before."""
    started(fresh)
    assert fresh.process
    fresh.process.kill()
    fresh.process.wait()
    deadline = time.monotonic() + 30
    while fresh.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not fresh.processes()
    started(fresh)
    fresh.process.kill()
    fresh.process.wait()
    resumes(fresh, to_the_end=True)


def test_dvc_is_killed_before_it_records_a_training_that_has_ended(fresh):
    """The training is kept until dvc.lock has its result: nothing is trained again."""
    fresh.start("train")
    assert fresh.wait_for(lambda: bool(list(fresh.folder.glob(".checkpoints/*/result.json"))), 120), fresh.said()
    assert fresh.process
    os.killpg(fresh.process.pid, signal.SIGKILL)
    fresh.process.wait()
    assert "train" not in fresh.done()
    steps = max(fresh.steps())
    assert f"{RESUMED} {steps:,} in epoch" in resumes(fresh)


@pytest.mark.parametrize("left", [0, 5_000, *(pytest.param(size, marks=pytest.mark.long) for size in (700, 3_000))])
def test_dvc_is_killed_while_it_writes_dvc_lock(whole, left):
    """It writes in place; and what it cannot read it refuses, or, cut in a lucky place, takes for what there is."""
    os.truncate(whole.folder / "dvc.lock", left)
    output = run("python -m pipeline check && dvc repro", whole.folder)
    assert "pipeline train" not in output  # what takes long comes back from the cache
    assert whole.lock() == whole.reference
    assert not run("git status --porcelain", whole.folder)


@pytest.mark.long
def test_an_experiment_in_a_folder_of_its_own_goes_on_too(whole):
    """DVC removes the folder of a failed one, so the checkpoints lie outside it."""
    command = "dvc exp run --temp -S models.cnn.training.learning_rate=0.002 train"
    run(f"{command} > ../first.txt 2>&1 &", whole.folder, CHECKPOINT_SECONDS="0.1")
    deadline = time.monotonic() + 120
    while len(whole.checkpoints()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    stage = whole.stage()
    assert stage
    stage.kill()
    while whole.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert RESUMED in run(command, whole.folder, CHECKPOINT_SECONDS="0.1")


def test_a_queued_experiment_goes_on_too(whole):
    deadline = time.monotonic() + 600

    def queue_one(*, until: Callable[[], bool], pause: float) -> None:
        run("dvc exp run --queue -S models.cnn.training.learning_rate=0.003 train", whole.folder)
        # A worker of DVC's own takes it up, and ends some ten seconds after the last one in the queue.
        run("dvc queue start > ../queue.txt 2>&1", whole.folder, CHECKPOINT_SECONDS="0.1")
        while not until() and time.monotonic() < deadline:
            time.sleep(pause)
        assert until()

    queue_one(until=lambda: len(whole.checkpoints()) > 1, pause=0.05)
    stage = whole.stage()
    assert stage
    stage.kill()
    queue_one(until=lambda: "Success" in run("dvc queue status", whole.folder), pause=2.0)
    done = next(line.split()[0] for line in run("dvc queue status", whole.folder).splitlines() if "Success" in line)
    assert RESUMED in run(f"dvc queue logs {done}", whole.folder)
    run("dvc queue stop --kill", whole.folder)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        ("sed -i 's/learning_rate: 1.0e-3/learning_rate: 2.0e-3/' params.yaml", "params.yaml"),
        ("echo '# edited' >> pipeline/training/optimizers.py", "pipeline/training/optimizers.py"),
        ("echo >> data/features/task.json", "data/features/task.json"),
    ],
)
def test_an_edit_under_way_fails_the_stage(fresh, edit, what):
    started(fresh)
    run(edit, fresh.folder)
    assert fresh.finish() != 0
    assert (
        f"error: {what}: changed while train was running: its result is discarded; run the same command again"
        in fresh.said()
    )
    assert "Traceback" not in fresh.said()
    assert "train" not in fresh.done()


def test_it_is_started_twice_and_files_are_touched_but_not_changed(fresh):
    """The first goes on, and ends as if nothing had been."""
    started(fresh)
    run("find pipeline params.yaml data/features/task.json -type f -exec touch {} +", fresh.folder)
    second = run("dvc repro", fresh.folder, code=None)
    assert "busy" in second
    assert fresh.finish() == 0
    assert fresh.same("train")


def test_a_run_that_diverges_keeps_its_last_good_state(fresh):
    run("sed -i 's/learning_rate: 1.0e-3/learning_rate: 1.0e+38/' params.yaml", fresh.folder)
    output = run("dvc repro train", fresh.folder, code=None, CHECKPOINT_SECONDS="0.1")
    assert re.search(r"error: the loss is not finite at step 2, learning rate \S+: lower learning_rate", output)
    assert "Traceback" not in output


@pytest.mark.parametrize(("path", "stage"), [("trained", "train"), (".checkpoints", "train"), ("package", "package")])
def test_an_output_that_cannot_be_written_is_one_line(whole, path, stage):
    target = whole.folder / path
    shutil.rmtree(target, ignore_errors=True)
    target.write_text("a file, where a folder must be")
    output = run(f"python -m pipeline {stage}", whole.folder, code=1)
    assert "Traceback" not in output
    assert path in output.strip().splitlines()[-1]
