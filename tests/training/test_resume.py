"""Training that is interrupted anywhere ends with the same bits."""

import json
import os
import signal
from functools import partial
from typing import Any

import corpora
import numpy as np
import pytest
import small_tasks

from pipeline.config.networks import CNNConfig, LinearConfig, LSTMConfig
from pipeline.config.optimizers import SGD, Adam, Muon
from pipeline.config.training import EarlyStopping
from pipeline.evaluation import token_losses
from pipeline.examples.task import Task
from pipeline.loaders.loader import ExampleLoader, Loader, WindowLoader
from pipeline.runtime.errors import Stop, Stopped, UserError
from pipeline.stages.process import parent_watch
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.training import loop, optimizers
from pipeline.training.checkpoints.files import Checkpoint
from pipeline.training.run import TrainingRun, from_checkpoint, to_checkpoint
from pipeline.training.trainer import Trainer, start

CASES = {
    "cnn": (small_tasks.images(), CNNConfig(filters=4, kernel=3), {}),
    "lstm": (
        small_tasks.texts(),
        LSTMConfig(cell="lstm", width=8, hidden=6, layers=1, dropout=0.2, token_dropout=0.2),
        {},
    ),
    "linear": (
        small_tasks.texts(),
        LinearConfig(ngrams=2, buckets=64),
        {"optimizer": SGD(name="sgd", momentum=0.9)},
    ),
    "stopping": (
        small_tasks.images(),
        CNNConfig(filters=4, kernel=3),
        {"early_stopping": EarlyStopping(patience=1), "learning_rate": 0.05, "epochs": 9},
    ),
    "gpt": (
        corpora.TASK,
        corpora.CONFIGS["gpt"](dropout=0.2),
        {"microbatches": 2, "optimizer": Muon(name="muon")},
    ),
}


TRAINERS: dict[str, Trainer] = {}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    corpora.shrink(monkeypatch)


class Interrupted(Exception):
    """Stands for a kill: nothing else runs."""


class Memory:
    """A checkpointer that saves at each chance, and may then be killed."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.killed_after, self.saved = killed_after, 0
        self.last: Checkpoint | None = None

    def due(self) -> bool:
        return True

    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> bool:
        arrays = {key: np.array(array) for key, array in arrays.items()}
        self.last = Checkpoint(arrays, json.loads(json.dumps(facts)))
        self.saved += 1
        if self.saved == self.killed_after:
            raise Interrupted
        return True


def train(case: str, checkpointer: Any, last: Checkpoint | None = None) -> TrainingRun:
    task, config, changes = CASES[case]
    settings = small_tasks.TRAINING.model_copy(update={"epochs": 3, **changes})
    optimizer = partial(
        optimizers.build, settings.optimizer, lambda _: settings.learning_rate, weight_decay=0.0, gradient_clip=None
    )
    trainer, state = start(config, task, optimizer, seed=0, microbatches=settings.microbatches)
    trainer = TRAINERS.setdefault(case, trainer)  # one that has compiled already
    run = from_checkpoint(last, state) if last else TrainingRun(state)
    return loop.fit(
        trainer,
        run,
        *sources(task, trainer, settings.batch_size),
        loop.Monitor("loss", rises=False),
        settings,
        lambda _: settings.learning_rate,
        checkpointer=checkpointer,
        log=small_tasks.SILENT,
    )


def sources(task: Task, trainer: Trainer, batch: int) -> tuple[Loader, Any]:
    if isinstance(task, LanguageModelling):
        # Read from files, as if the text did not fit on the device.
        loader = WindowLoader(corpora.corpus(900, 300), seed=0, batch=batch, context=16, steps=7, resident=0)
        validation = corpora.corpus(100, seed=1)
        return loader, lambda params, model_state: token_losses.total_loss(
            trainer.predictor, params, model_state, validation, 16
        )
    loader = ExampleLoader(small_tasks.examples(task, 60), seed=0, batch=batch)
    return loader, small_tasks.validation(trainer, small_tasks.examples(task, 20, 1))


def same(one: TrainingRun, other: TrainingRun) -> bool:
    a, b = to_checkpoint(one), to_checkpoint(other)
    return a.facts == b.facts and all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays | b.arrays)


@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_it_ends_at_the_same_bits(case, monkeypatch):
    whole = train(case, Memory())
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)  # a step a dispatch: the most places to be killed at
    last, kills = None, 0
    while True:
        checkpointer = Memory(killed_after=5)
        try:
            again = train(case, checkpointer, last)
            break
        except Interrupted:
            last, kills = checkpointer.last, kills + 1
    assert kills >= 2
    assert same(whole, again)
    assert same(whole, train(case, Memory(), checkpointer.last))  # from the end itself, as after a kill just then


@pytest.fixture(autouse=True)
def _nobody_has_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: a test before may have had a signal."""
    monkeypatch.setattr(Stop, "since", None)


class Signalled(Memory):
    """At the first step, these signals come."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self.numbers = numbers

    def due(self) -> bool:
        for number in self.numbers:
            os.kill(os.getpid(), number)
        self.numbers = ()
        return False


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT, signal.SIGTERM)]  # of one stop
    + [(number,) for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU)],
)
def test_a_signal_saves_and_ends(numbers, monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under `nohup`
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    checkpointer = Signalled(*numbers)
    with pytest.raises(Stopped, match="stopped and saved at step 1: run the same command again to resume") as caught:
        train("cnn", checkpointer)
    assert caught.value.code == 128 + numbers[0]
    assert checkpointer.last is not None
    assert same(train("cnn", Memory()), train("cnn", Memory(), checkpointer.last))


class Full(Signalled):
    """The disk is full."""

    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> bool:
        return False


def test_a_stop_on_a_full_disk_does_not_claim_to_have_saved(monkeypatch):
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    with pytest.raises(Stopped, match="stopped at step 1, which could not be saved: run the same command again"):
        train("cnn", Full(signal.SIGTERM))


def test_a_second_interrupt_by_a_person_ends_at_once(monkeypatch):
    monkeypatch.setattr("pipeline.runtime.errors.SAME_STOP", 0.0)
    checkpointer = Signalled(signal.SIGTERM, signal.SIGINT)
    with pytest.raises(Stopped, match="stopped: run the same command again"):
        train("cnn", checkpointer)
    assert checkpointer.last is None


def test_a_signal_that_asks_for_a_checkpoint_saves_and_goes_on(capsys):
    checkpointer = Signalled(signal.SIGUSR2)
    run = train("cnn", checkpointer)
    assert (checkpointer.saved, "saved at step 1" in capsys.readouterr().out) == (2, True)
    assert same(train("cnn", Memory()), run)


def test_a_hangup_that_nohup_has_switched_off_stays_off():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        checkpointer = Signalled(signal.SIGHUP)
        train("cnn", checkpointer)
        assert checkpointer.saved == 1  # at the end
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(("since", "sent"), [(None, [signal.SIGTERM]), (0.0, [])])
def test_a_stage_that_is_ending_already_gets_no_second_signal(since, sent, monkeypatch):
    """`timeout`, systemd and batch systems send SIGTERM to DVC and to its stage at the same time."""
    signals: list[int] = []

    def kill(pid: int, number: int) -> None:
        signals.append(number)
        Stop.note()

    monkeypatch.setattr(Stop, "since", since)
    monkeypatch.setattr(parent_watch, "PATIENCE", 0.0)
    monkeypatch.setattr(os, "kill", kill)
    parent_watch._watch(started_by=-1, parents=[])
    assert signals == sent


def test_another_network_is_refused():
    checkpointer = Memory()
    train("linear", checkpointer)
    assert checkpointer.last
    task, config, _ = CASES["cnn"]
    _, state = start(
        config,
        task,
        partial(optimizers.build, Adam(name="adam"), lambda _: 1.0, weight_decay=0.0, gradient_clip=None),
        seed=0,
    )
    with pytest.raises(UserError, match="not one of this run"):
        from_checkpoint(checkpointer.last, state)
