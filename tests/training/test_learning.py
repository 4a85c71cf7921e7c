"""Training: the same numbers in blocks or step by step, from the same seed; optimisers, schedules, stopping."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_tasks

from pipeline.config.networks import CNNConfig, ResNetConfig
from pipeline.config.optimizers import SGD, Adagrad, AdamW, Cosine, Muon, Step
from pipeline.config.training import Augmentation, EarlyStopping
from pipeline.examples.augmentation import augment
from pipeline.examples.batch import Examples
from pipeline.examples.task import Task
from pipeline.loaders import buckets
from pipeline.loaders.loader import ExampleLoader
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import ClassSettings
from pipeline.training import loop, optimizers
from pipeline.training.checkpoints.checkpointer import Participant
from pipeline.training.run import TrainingRun
from pipeline.training.trainer import start

TASK = small_tasks.images()
LOSS = loop.Monitor("loss", rises=False)


def examples(count: int, seed: int = 0) -> Examples:
    return small_tasks.examples(TASK, count, seed)


def fit(
    train: Examples | None = None,
    *,
    seed: int = 0,
    config: Any = None,
    task: Task = TASK,
    monitor: loop.Monitor = LOSS,
    **changes: Any,
) -> TrainingRun:
    train = train or examples(40)
    settings = small_tasks.TRAINING.model_copy(update=changes)
    rate = optimizers.learning_rate(
        settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=len(train.targets) // 8
    )
    optimizer = partial(
        optimizers.build,
        settings.optimizer,
        rate,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    trainer, state = start(
        config or CNNConfig(filters=4, kernel=3),
        task,
        optimizer,
        seed=seed,
        label_smoothing=settings.label_smoothing,
        augmentation=settings.augmentation,
    )
    loader, validate = (
        ExampleLoader(train, seed=seed, batch=settings.batch_size),
        small_tasks.validation(trainer, examples(20, 1)),
    )
    return loop.fit(
        trainer,
        TrainingRun(state),
        loader,
        validate,
        monitor,
        settings,
        rate,
        checkpointer=Participant(),
        log=small_tasks.SILENT,
    )


@pytest.fixture(scope="module")
def plain() -> TrainingRun:
    return fit()


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_the_seed_decides_every_bit():
    moving = Augmentation(shift=2, flip=True)
    one, again, other = (fit(seed=seed, augmentation=moving) for seed in (1, 1, 2))
    assert same(one.kept.params, again.kept.params)
    assert one.history == again.history
    assert not same(one.kept.params, other.kept.params)


def test_a_block_equals_its_steps_one_by_one():
    data = examples(40)
    ((rows, length),) = buckets.epoch_batches(0, 1, data, batch=8, ends=(0,))
    config = ResNetConfig(widths=(4,), blocks=1)
    optimizer = partial(
        optimizers.build, small_tasks.TRAINING.optimizer, lambda _: 1e-2, weight_decay=0.0, gradient_clip=None
    )
    trainer, state = start(config, TASK, optimizer, seed=0)
    _, single = start(config, TASK, optimizer, seed=0)
    whole, sums = trainer.train_block(state, data, jnp.asarray(rows), jnp.int32(5), length)
    each = []
    for row in rows:
        block = np.pad(row[None], ((0, len(rows) - 1), (0, 0)))  # one shape, one compilation
        single, one = trainer.train_block(single, data, jnp.asarray(block), jnp.int32(1), length)
        each.append(one[:1])
    assert same(whole, single)
    np.testing.assert_array_equal(sums, np.concatenate(each))


def test_a_padded_block_stops_where_it_is_told():
    data = examples(40)
    optimizer = partial(
        optimizers.build, small_tasks.TRAINING.optimizer, lambda _: 1e-2, weight_decay=0.0, gradient_clip=None
    )
    trainer, state = start(CNNConfig(filters=4, kernel=3), TASK, optimizer, seed=0)
    state, sums = trainer.train_block(state, data, jnp.zeros((9, 8), jnp.int32), jnp.int32(3), 0)
    assert int(state.step) == 3
    assert sums[:, 1].tolist() == [8] * 3 + [0] * 6


def test_each_epoch_sees_each_example_once_in_its_own_order():
    first, second, again = (
        buckets.epoch_batches(0, epoch, examples(43), batch=8, ends=(0,))[0].rows for epoch in (1, 2, 1)
    )
    for rows in (first, second):
        assert rows.shape == (5, 8)
        assert len(np.unique(rows)) == 40
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_too_few_examples_for_a_batch():
    with pytest.raises(UserError, match="batch_size: 8 is more than the 3 training examples"):
        fit(examples(3))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"optimizer": SGD(name="sgd", momentum=0.9, nesterov=True)}, marks=pytest.mark.long),
        {"optimizer": SGD(name="sgd")},
        {"optimizer": Adagrad(name="adagrad")},
        pytest.param({"optimizer": AdamW(name="adamw"), "weight_decay": 0.1}, marks=pytest.mark.long),
        {"optimizer": Muon(name="muon")},
        {"weight_decay": 0.1},
        pytest.param({"gradient_clip": 0.01}, marks=pytest.mark.long),
        {"label_smoothing": 0.1},
        {"task": TASK.model_copy(update={"settings": ClassSettings(name="classification", class_weights="balanced")})},
        pytest.param({"learning_rate": 1e-3}, marks=pytest.mark.long),
        {"schedule": Cosine(name="cosine", warmup=0.2)},
        pytest.param({"schedule": Step(name="step", epochs=1, factor=0.1)}, marks=pytest.mark.long),
        {"augmentation": Augmentation(shift=1)},
        pytest.param({"augmentation": Augmentation(flip=True)}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_every_setting_changes_the_result_and_stays_finite(plain, change):
    changed = fit(**change)
    assert not same(plain.kept.params, changed.kept.params)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(changed.kept.params))


def test_early_stopping_keeps_the_best_epoch():
    stopped = fit(epochs=30, early_stopping=EarlyStopping(patience=2), learning_rate=0.05)
    losses = [epoch.validation_loss for epoch in stopped.history]
    assert len(losses) < 30
    assert stopped.kept.epoch.epoch == int(np.argmin(losses)) + 1 == len(losses) - 2
    best = fit(epochs=stopped.kept.epoch.epoch, learning_rate=0.05)
    assert same(stopped.kept.params, best.kept.params)


def test_the_best_epoch_is_the_one_with_the_best_of_what_is_monitored():
    scores = iter([0.2, 0.5, 0.5, 0.1])
    run = fit(epochs=4, monitor=loop.Monitor("mine", rises=True, measure=lambda params, model_state: next(scores)))
    assert [epoch.monitored for epoch in run.history] == [0.2, 0.5, 0.5, 0.1]
    losses = [epoch.validation_loss for epoch in run.history]
    assert run.kept.epoch.epoch == (2 if losses[1] <= losses[2] else 3)  # of equals, the one with the smaller loss


def test_a_loss_that_is_not_finite_stops_with_step_and_rate():
    with pytest.raises(UserError, match=r"not finite at step \d+, learning rate 1e\+30: lower learning_rate"):
        fit(learning_rate=1e30, optimizer=SGD(name="sgd"), epochs=5)


def test_augmentation_moves_and_mirrors():
    images = jnp.asarray(np.random.default_rng(0).integers(1, 256, (64, 6, 5, 1)), jnp.uint8)
    mirrored = augment(images, Augmentation(flip=True), jax.random.key(0))
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(mirrored, images)]
    kept = [np.array_equal(a, b) for a, b in zip(mirrored, images)]
    assert all(a or b for a, b in zip(flipped, kept))
    assert 16 < sum(flipped) < 48
    moved = np.asarray(augment(images, Augmentation(shift=2), jax.random.key(0)))
    corners = {(int((image[..., 0] > 0).any(1).argmax()), int((image[..., 0] > 0).any(0).argmax())) for image in moved}
    assert corners == {(i, j) for i in range(3) for j in range(3)}  # black moved in from above and from the left
