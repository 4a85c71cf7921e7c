"""Checkpoints: training that is interrupted anywhere goes on to the same bits; what is damaged is not used."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpora
import jax
import numpy as np
import pytest
import tasks
from imports import TOP

from pipeline import checkpoint, learner, optim, reading, training
from pipeline.checkpoint import Checkpoint, Checkpoints
from pipeline.errors import Stopped, UserError
from pipeline.feed import ExampleFeed, Feed, WindowFeed
from pipeline.learner import Learner
from pipeline.models import cnn, linear, lstm
from pipeline.run import Run, packed, unpacked
from pipeline.tasks import LanguageModelling, Task
from pipeline.training import EarlyStopping

CASES = {
    "cnn": (tasks.images(), cnn.Config(filters=4, kernel=3), {}),
    "lstm": (tasks.texts(), lstm.Config(cell="lstm", width=8, hidden=6, layers=1, dropout=0.2, token_dropout=0.2), {}),
    "linear": (tasks.texts(), linear.Config(ngrams=2, buckets=64), {"optimizer": optim.SGD(name="sgd", momentum=0.9)}),
    "stopping": (
        tasks.images(),
        cnn.Config(filters=4, kernel=3),
        {"early_stopping": EarlyStopping(metric="loss", patience=1), "learning_rate": 0.05, "epochs": 9},
    ),
    "gpt": (
        corpora.TASK,
        corpora.CONFIGS["gpt"](dropout=0.2),
        {"microbatches": 2, "optimizer": optim.Muon(name="muon")},
    ),
}


LEARNERS: dict[str, Learner] = {}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    corpora.shrink(monkeypatch)


class Interrupted(Exception):
    """Stands for a kill: nothing more is run."""


class Memory:
    """A keeper that saves at each chance, and may then be killed."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.killed_after, self.saved = killed_after, 0
        self.last: Checkpoint | None = None

    def due(self) -> bool:
        return True

    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> None:
        host = {key: np.array(array) for key, array in arrays.items()}
        self.last = Checkpoint(host, json.loads(json.dumps(facts)))
        self.saved += 1
        if self.saved == self.killed_after:
            raise Interrupted


def train(case: str, keeper: Any, found: Checkpoint | None = None) -> Run:
    task, config, changes = CASES[case]
    settings = tasks.TRAINING.model_copy(update={"epochs": 3, **changes})
    tx = optim.build(settings.optimizer, lambda _: settings.learning_rate, weight_decay=0.0, gradient_clip=None)
    learn, state = learner.start(config, task, tx, seed=0, microbatches=settings.microbatches)
    learn = LEARNERS.setdefault(case, learn)  # one that has compiled already
    run = unpacked(found, state) if found else Run(state)
    return training.fit(
        learn,
        run,
        *sources(task, learn, settings.batch_size),
        settings,
        lambda _: settings.learning_rate,
        keeper=keeper,
        log=lambda _: None,
    )


def sources(task: Task, learn: Learner, batch: int) -> tuple[Feed, Any]:
    if isinstance(task, LanguageModelling):
        # Read from files, as if there were too much text for the device.
        feed = WindowFeed(corpora.corpus(900, 300), seed=0, batch=batch, context=16, steps=7, resident=0)
        held_out = corpora.corpus(100, seed=1)
        return feed, lambda params, rest: reading.totals(learn, params, rest, held_out, 16)
    feed = ExampleFeed(tasks.examples(task, 60), seed=0, batch=batch)
    return feed, tasks.validation(learn, tasks.examples(task, 20, 1))


def same(one: Run, other: Run) -> bool:
    a, b = packed(one), packed(other)
    return a.facts == b.facts and all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays | b.arrays)


@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_it_ends_at_the_same_bits(case, monkeypatch):
    whole = train(case, Memory())
    monkeypatch.setattr(training, "DISPATCH", 0.0)  # a step a dispatch: the most places to be killed at
    found, kills = None, 0
    while True:
        keeper = Memory(killed_after=5)
        try:
            again = train(case, keeper, found)
            break
        except Interrupted:
            found, kills = keeper.last, kills + 1
    assert kills >= 2
    assert same(whole, again)
    assert same(whole, train(case, Memory(), keeper.last))  # from the end itself, as after a kill just then


def test_a_signal_saves_and_ends(monkeypatch):
    monkeypatch.setattr(training, "DISPATCH", 0.0)

    class Asked(Memory):
        def due(self) -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            return False

    keeper = Asked()
    with pytest.raises(Stopped, match="stopped and saved at step 2: the same command goes on from there") as caught:
        train("cnn", keeper)
    assert caught.value.code == 143
    assert keeper.last is not None
    assert same(train("cnn", Memory()), train("cnn", Memory(), keeper.last))


ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.asarray(7, np.int32)}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    """A run with three checkpoints, of which two are left."""
    found = Checkpoints(tmp_path / "run", every=0, about={"model": "cnn", "seed": 0})
    for step in (1, 2, 3):
        arrays = ARRAYS | {"step": np.asarray(step, np.int32)}
        found.save(f"000001-{step:010}", arrays, {"epoch": 1, "step": step, "finished": False}, wait=True)
    return found


def newest(folder: Path) -> Path:
    return sorted(path for path in folder.iterdir() if path.name.startswith("0"))[-1]


def test_the_newest_two_are_kept(kept):
    assert sorted(path.name for path in kept.folder.iterdir()) == ["000001-0000000002", "000001-0000000003"]
    found = kept.newest()
    assert found.facts == {"model": "cnn", "seed": 0, "epoch": 1, "step": 3, "finished": False}
    assert found.arrays["step"] == 3
    np.testing.assert_array_equal(found.arrays["a"], ARRAYS["a"])


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
    DAMAGES[damage](newest(kept.folder))
    assert kept.newest().facts["step"] == 2
    warning = capsys.readouterr().err
    assert warning.startswith("warning: a checkpoint is damaged")
    assert "set aside as" in warning
    assert warning.count("\n") == 1
    DAMAGES[damage](newest(kept.folder))
    assert kept.newest() is None
    assert sorted(path.name.split("-")[0] for path in kept.folder.iterdir()) == ["damaged", "damaged"]


def test_every_single_bit_matters(kept):
    """Of the weights, wherever it lies: a restored state is the saved one or none."""
    path = newest(kept.folder) / "state.safetensors"
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 13):
        flipped(path, bit)
        with pytest.raises(ValueError, match="another sha256"):
            checkpoint._read(path.parent)
        path.write_bytes(content)
    assert checkpoint._read(path.parent).facts["step"] == 3


def test_what_was_being_written_is_no_checkpoint(kept):
    (kept.folder / "000001-0000000004.tmp").mkdir()
    with kept.only_writer():
        assert kept.newest().facts["step"] == 3
        assert not list(kept.folder.glob("*.tmp"))


def test_a_state_that_is_not_finite_is_not_kept(kept):
    bad = ARRAYS | {"a": np.full((2, 3), np.nan, np.float32)}
    kept.save("000001-0000000004", bad, {"step": 4}, wait=True)
    assert kept.newest().facts["step"] == 3


def test_a_disk_that_is_full_only_warns(kept, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "state.safetensors")

    monkeypatch.setattr(checkpoint, "save_file", full)
    kept.save("000001-0000000004", ARRAYS, {"step": 4}, wait=True)
    assert "warning: no checkpoint was written at 000001-0000000004 (no space left" in capsys.readouterr().err
    assert kept.newest().facts["step"] == 3


def test_another_network_is_refused(kept):
    task, config, _ = CASES["cnn"]
    _, state = learner.start(
        config, task, optim.build(optim.Adam(name="adam"), lambda _: 1.0, weight_decay=0.0, gradient_clip=None), seed=0
    )
    with pytest.raises(UserError, match="not one of this run"):
        unpacked(kept.newest(), state)


HOLD = """
import sys, time
from pathlib import Path
from pipeline import checkpoint
with checkpoint.Checkpoints(Path(sys.argv[1]), every=0).only_writer():
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
    monkeypatch.setattr(checkpoint, "WAIT", 0.5)
    keeper = Checkpoints(tmp_path / "run", every=0)
    with (
        pytest.raises(UserError, match=f"process {holder.pid} is at this very training run: .*`kill {holder.pid}`"),
        keeper.only_writer(),
    ):
        pass
    (row,) = checkpoint.rows(tmp_path)
    assert row["state"] == f"running: process {holder.pid}"
    checkpoint.clear(tmp_path / "run")
    assert (tmp_path / "run").exists()
    holder.kill()
    holder.wait()
    with keeper.only_writer():
        assert (tmp_path / "run/lock").read_text() == f"{os.getpid()}\n"


def test_it_waits_for_one_that_ends(tmp_path):
    process = hold(tmp_path / "run", 1.0)
    with process, Checkpoints(tmp_path / "run", every=0).only_writer():
        assert (tmp_path / "run/lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_that_was_cleared_away_is_made_anew(tmp_path):
    process = hold(tmp_path / "run", 1.0)
    (tmp_path / "run/lock").unlink()
    with process, Checkpoints(tmp_path / "run", every=0).only_writer():
        assert (tmp_path / "run/lock").exists()


def test_list_and_clean(kept, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint.paths, "CHECKPOINTS", tmp_path)
    for what, expected in (
        ("list", ["interrupted", "cnn", "run"]),
        ("clean", ["run: removed"]),
        ("list", ["no checkpoints"]),
    ):
        monkeypatch.setattr(sys, "argv", ["checkpoint", what])
        checkpoint.main()
        out = capsys.readouterr().out
        assert all(part in out for part in expected)


@pytest.mark.parametrize("text", ["often", "-1", "nan", "inf", ""])
def test_the_interval_is_a_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv("CHECKPOINT_SECONDS", text)
    with pytest.raises(UserError, match="CHECKPOINT_SECONDS: must be a number of seconds"):
        checkpoint.interval()


def test_it_is_due_by_a_clock_that_cannot_go_backwards(tmp_path, monkeypatch):
    keeper = Checkpoints(tmp_path / "run", every=100)
    assert not keeper.due()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert not keeper.due()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 101)
    assert keeper.due()


def test_training_goes_on_while_a_state_is_written(tmp_path):
    """The arrays that are written are those of the moment, though the next step would reuse their memory."""
    keeper = Checkpoints(tmp_path / "run", every=0)
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jax.numpy.zeros(1 << 20)
    for number in range(1, 6):
        x = step(x)
        keeper.save(f"000001-{number:010}", {"x": x}, {"step": number})
        x = step(step(x))
        keeper.wait()
        found = keeper.newest()
        assert found is not None
        assert set(found.arrays["x"]) == {3.0 * number - 2}


def test_the_fingerprint_is_of_all_facts():
    one = {"params": {"lr": 1e-3, "seed": 0}, "code": {"a.py": "1"}}
    assert checkpoint.fingerprint(one) == checkpoint.fingerprint(dict(reversed(one.items())))
    for other in (
        {**one, "code": {"a.py": "2"}},
        {**one, "machine": "gpu"},
        {**one, "params": {"lr": 1e-3, "seed": 1}},
    ):
        assert checkpoint.fingerprint(one) != checkpoint.fingerprint(other)
