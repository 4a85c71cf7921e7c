"""The settings of a training run, and its loop over epochs: early stopping, curves, progress."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field, PositiveFloat, PositiveInt
from tqdm import tqdm

from pipeline import batches, learner
from pipeline.augment import Augmentation
from pipeline.batches import BLOCK, Block
from pipeline.errors import UserError
from pipeline.learner import Learner, State, Tree
from pipeline.optim import Optimizer, Schedule
from pipeline.params import Section
from pipeline.tasks import Examples, Sums, lengths


class EarlyStopping(Section):
    """Ends training when `metric` on the validation split has not improved for `patience` epochs; keeps the best."""

    metric: Literal["loss", "accuracy"]
    patience: PositiveInt


class Training(Section):
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat  # the schedule's peak
    optimizer: Optimizer
    schedule: Schedule
    weight_decay: Annotated[float, Field(ge=0)]
    gradient_clip: PositiveFloat | None  # the largest global norm of a gradient
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "balanced"]  # balanced: all classes weigh the same together, however rare
    early_stopping: EarlyStopping | None
    augmentation: Augmentation | None


class Epoch(NamedTuple):
    """One row of the curves; epochs count from 1."""

    epoch: int
    train_loss: float  # average over the epoch's batches, as training saw them
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class Result(NamedTuple):
    params: Tree
    rest: Tree
    history: list[Epoch]
    kept: Epoch  # the epoch whose weights these are
    steps: int


Log = Callable[[dict[str, Any]], None]


def fit(
    learn: Learner,
    state: State,
    train: Examples,
    validation: Examples,
    settings: Training,
    rate: optax.Schedule,
    *,
    seed: int,
    log: Log,
) -> Result:
    """Trains for the epochs that `settings` ask for, or until validation stops improving.

    `log` gets each epoch's figures with its seconds and examples a second. Raises UserError at a loss that is not
    finite, with the step and the learning rate.
    """
    data, held_out = jax.device_put(train), jax.device_put(validation)
    ends = batches.ends(lengths(train))
    plan = learner.evaluation_batches(validation)
    history: list[Epoch] = []
    best: tuple[Epoch, Tree, Tree] | None = None
    steps = batches.steps_an_epoch(train, batch=settings.batch_size, ends=ends)
    total = settings.epochs * (len(train) if train.starts is not None else steps * settings.batch_size)
    with tqdm(total=total, desc="train", unit=" examples", unit_scale=True, disable=None) as progress:
        for epoch in range(1, settings.epochs + 1):
            began = time.perf_counter()
            blocks = batches.order(seed, epoch, train, batch=settings.batch_size, ends=ends)
            state, sums = _one_epoch(learn, state, data, blocks, rate, progress)
            done = sum(int((block.rows >= 0).sum()) for block in blocks)
            seconds = time.perf_counter() - began
            measured = learner.measure(learn, state.params, state.rest, held_out, plan)
            history.append(Epoch(epoch, *_averages(sums), *_averages(measured)))
            log({**history[-1]._asdict(), "seconds": seconds, "examples_per_second": done / seconds})
            _tell(history[-1], done / seconds)
            if stopping := settings.early_stopping:
                if best is None or _better(history[-1], best[0], stopping.metric):
                    copy = jax.tree.map(jnp.copy, (state.params, state.rest))  # the state itself is donated on
                    best = (history[-1], *copy)
                if epoch - best[0].epoch >= stopping.patience:
                    tqdm.write(f"stopped: no better {stopping.metric} since epoch {best[0].epoch}, which is kept")
                    break
    kept, params, rest = best or (history[-1], state.params, state.rest)
    return Result(params, rest, history, kept, int(state.step))


def _one_epoch(
    learn: Learner, state: State, data: Examples, blocks: list[Block], rate: optax.Schedule, progress: Any
) -> tuple[State, Sums]:
    """One pass, block by block. A block's sums are read only when the next one is under way."""
    first = int(state.step)
    total = np.zeros(len(Sums._fields))
    taken = 0
    waiting: tuple[int, int, Sums] | None = None
    for block in [*blocks, None]:
        begun = None
        if block is not None:
            steps = len(block.rows)
            padded = np.pad(block.rows, [(0, BLOCK - steps), (0, 0)])
            state, sums = learn.train_block(state, data, padded, np.int32(steps), block.length)  # type: ignore[arg-type]
            taken += steps
            begun = (taken, int((block.rows >= 0).sum()), sums)
        if waiting is not None:
            done, examples, sums = waiting
            total += np.array([float(x) for x in sums])
            if not np.isfinite(total[0]):
                at = float(rate(first + done))  # type: ignore[arg-type]
                raise UserError(
                    f"the loss is not finite at step {first + done}, learning rate {at:.3g}: "
                    "lower learning_rate, or set gradient_clip (1.0, say), both under models.*.training"
                )
            loss, accuracy = _averages(Sums(*total))  # type: ignore[arg-type]
            progress.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.4f}", refresh=False)
            progress.update(examples)
        waiting = begun
    return state, Sums(*total)  # type: ignore[arg-type]


def _averages(sums: Sums) -> tuple[float, float]:
    return float(sums.loss / sums.weight), float(sums.correct / sums.targets)


def _better(one: Epoch, other: Epoch, metric: str) -> bool:
    if metric == "loss":
        return one.validation_loss < other.validation_loss
    return one.validation_accuracy > other.validation_accuracy


def _tell(epoch: Epoch, rate: float) -> None:
    tqdm.write(
        f"epoch {epoch.epoch}: train loss {epoch.train_loss:.4f}, accuracy {epoch.train_accuracy:.4f}; "
        f"validation loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}; {rate:,.0f} examples/s"
    )
