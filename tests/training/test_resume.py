"""Training that is interrupted anywhere goes on to the same bits."""

import json
import os
import signal
from typing import Any

import corpora
import numpy as np
import pytest
import small_tasks

from pipeline.config.networks import CNNConfig, LinearConfig, LSTMConfig
from pipeline.config.optimizers import SGD, Adam, Muon
from pipeline.config.training import EarlyStopping
from pipeline.evaluation import token_losses
from pipeline.loaders.loader import ExampleLoader, Loader, WindowLoader
from pipeline.runtime.errors import Stopped, UserError
from pipeline.tasks import LanguageModelling, Task
from pipeline.training import loop, optimizers, trainer
from pipeline.training.checkpoints.store import Checkpoint
from pipeline.training.state import TrainingState, from_checkpoint, to_checkpoint
from pipeline.training.trainer import Trainer

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
        {"early_stopping": EarlyStopping(metric="loss", patience=1), "learning_rate": 0.05, "epochs": 9},
    ),
    "gpt": (
        corpora.TASK,
        corpora.CONFIGS["gpt"](dropout=0.2),
        {"microbatches": 2, "optimizer": Muon(name="muon")},
    ),
}


LEARNERS: dict[str, Trainer] = {}


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


def train(case: str, keeper: Any, found: Checkpoint | None = None) -> TrainingState:
    task, config, changes = CASES[case]
    settings = small_tasks.TRAINING.model_copy(update={"epochs": 3, **changes})
    tx = optimizers.build(settings.optimizer, lambda _: settings.learning_rate, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(config, task, tx, seed=0, microbatches=settings.microbatches)
    learn = LEARNERS.setdefault(case, learn)  # one that has compiled already
    run = from_checkpoint(found, state) if found else TrainingState(state)
    return loop.fit(
        learn,
        run,
        *sources(task, learn, settings.batch_size),
        settings,
        lambda _: settings.learning_rate,
        keeper=keeper,
        log=lambda _: None,
    )


def sources(task: Task, learn: Trainer, batch: int) -> tuple[Loader, Any]:
    if isinstance(task, LanguageModelling):
        # Read from files, as if there were too much text for the device.
        feed = WindowLoader(corpora.corpus(900, 300), seed=0, batch=batch, context=16, steps=7, resident=0)
        held_out = corpora.corpus(100, seed=1)
        return feed, lambda params, model_state: token_losses.total_loss(
            learn.predictor, params, model_state, held_out, 16
        )
    feed = ExampleLoader(small_tasks.examples(task, 60), seed=0, batch=batch)
    return feed, small_tasks.validation(learn, small_tasks.examples(task, 20, 1))


def same(one: TrainingState, other: TrainingState) -> bool:
    a, b = to_checkpoint(one), to_checkpoint(other)
    return a.facts == b.facts and all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays | b.arrays)


@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_it_ends_at_the_same_bits(case, monkeypatch):
    whole = train(case, Memory())
    monkeypatch.setattr(loop, "DISPATCH", 0.0)  # a step a dispatch: the most places to be killed at
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
    monkeypatch.setattr(loop, "DISPATCH", 0.0)

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


def test_another_network_is_refused():
    keeper = Memory()
    train("linear", keeper)
    assert keeper.last
    task, config, _ = CASES["cnn"]
    _, state = trainer.start(
        config,
        task,
        optimizers.build(Adam(name="adam"), lambda _: 1.0, weight_decay=0.0, gradient_clip=None),
        seed=0,
    )
    with pytest.raises(UserError, match="not one of this run"):
        from_checkpoint(keeper.last, state)
