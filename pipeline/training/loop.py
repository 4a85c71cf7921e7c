"""The settings of a training run, and its loop: early stopping, curves, progress, checkpoints.

All that changes in a run is a `Run`, and where it stands decides how it goes on: a run that was interrupted and goes on
from a checkpoint ends at the same bits.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from tqdm import tqdm

from pipeline.config.training import Training
from pipeline.evaluation.predictor import Tree
from pipeline.loaders.buckets import BLOCK, Block
from pipeline.loaders.loader import Loader, Served
from pipeline.parallel import processes
from pipeline.runtime.errors import Stopped, UserError
from pipeline.tasks.loss import LossSums
from pipeline.training.checkpoints import store
from pipeline.training.signals import Postponed
from pipeline.training.state import Best, Epoch, TrainingState, to_checkpoint
from pipeline.training.trainer import Trainer


class Saves(Protocol):
    """Where a run is saved now and then, as by `checkpoint.Checkpoints`."""

    def due(self) -> bool: ...
    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> None: ...


class NoCheckpointer:
    """What a process has in a Keeper's place that is not the one which saves: it gives its share of the arrays."""

    def due(self) -> bool:
        return False

    def save(self, name: str, arrays: Any, facts: Any, *, wait: bool = False) -> None:
        for array in arrays.values():
            processes.host(array)


Log = Callable[[dict[str, Any]], None]

DISPATCH = 0.5  # seconds of steps in one dispatch, at most about: between two, signals are answered and runs saved


def fit(
    learn: Trainer,
    run: TrainingState,
    feed: Loader,
    validate: Callable[[Tree, Tree], LossSums],
    settings: Training,
    rate: optax.Schedule,
    *,
    keeper: Saves,
    log: Log,
) -> TrainingState:
    """Trains on from where `run` stands to its end: all epochs, or until validation stops improving.

    `validate` says how well parameters, and the rest of the model, do. `log` gets the step after each dispatch, and
    each epoch's figures with its seconds and examples, or tokens, a second. Raises UserError at a loss that is not
    finite, with the step and the learning rate, and Stopped after a signal, once the run is saved.
    """
    an_epoch = int(_sizes(feed.epoch(run.epoch)).sum()) * feed.weight
    total, before = settings.epochs * an_epoch, (run.epoch - 1) * an_epoch
    with (
        Postponed() as signal,
        tqdm(
            total=total,
            initial=before,
            desc="train",
            unit=f" {feed.unit}",
            unit_scale=True,
            disable=None if processes.first() else True,
        ) as bar,
    ):
        while not finished(run, settings):
            began, first = time.perf_counter(), run.taken
            blocks = feed.epoch(run.epoch)
            bar.update(int(_sizes(blocks)[:first].sum()) * feed.weight)
            for further in _steps(learn, run, feed.serve(blocks, first), rate, bar, feed.weight):
                run = further
                log({"epoch": run.epoch, "step": int(run.state.step)})
                asked, due = processes.agreed(signal.number, not signal.number and keeper.due())
                if asked or due:
                    save(run, settings, keeper, wait=asked > 0)
                if asked:
                    at = f"{int(run.state.step):,}"
                    raise Stopped(asked, f"stopped and saved at step {at}: the same command goes on from there")
            seconds, done = time.perf_counter() - began, int(_sizes(blocks)[first:].sum()) * feed.weight
            measured = validate(run.state.params, run.state.model_state)
            latest = Epoch(run.epoch, *_averages(run.sums), *_averages(np.array(measured)))
            if not np.isfinite(latest.validation_loss):
                raise _diverged("loss on the validation split", int(run.state.step), rate)
            run = _closed(run, latest, settings)
            log(
                {
                    **latest._asdict(),
                    "step": int(run.state.step),
                    "seconds": seconds,
                    f"{feed.unit}_per_second": done / seconds,
                }
            )
            _tell(latest, f"{done / seconds:,.0f} {feed.unit}/s")
        if settings.early_stopping and run.best and run.epoch <= settings.epochs:
            metric, kept = settings.early_stopping.metric, run.best.epoch.epoch
            tqdm.write(f"stopped: no better {metric} since epoch {kept}, which is kept")
        save(run, settings, keeper, wait=True)  # a kill must not cost the run before DVC has written down its result
        (asked,) = processes.agreed(signal.number)
        if asked:
            raise Stopped(asked, "stopped: the training is done and saved, the same command goes on from there")
    return run


def finished(run: TrainingState, settings: Training) -> bool:
    stopping = settings.early_stopping
    waited = run.best and run.epoch - 1 - run.best.epoch.epoch
    return run.epoch > settings.epochs or bool(stopping and waited and waited >= stopping.patience)


def save(run: TrainingState, settings: Training, keeper: Saves, *, wait: bool) -> None:
    arrays, facts = to_checkpoint(run)
    finishes = finished(run, settings)
    keeper.save(store.name(run.epoch, int(run.state.step)), arrays, {**facts, "finished": finishes}, wait=wait)
    if wait:
        processes.agreed(0)  # none ends before it is written


def _steps(
    learn: Trainer, run: TrainingState, served: Iterator[Served], rate: optax.Schedule, bar: Any, weight: int
) -> Iterator[TrainingState]:
    """The rest of an epoch, a dispatch at a time; so many steps each as take about DISPATCH seconds."""
    most = 1
    for data, rows, length in served:
        while len(rows):
            now, rows = rows[:most], rows[most:]
            began = time.perf_counter()
            padded = np.pad(now, [(0, BLOCK - len(now)), (0, 0)])
            state, each = learn.train_block(run.state, data, padded, np.int32(len(now)), length)  # type: ignore[arg-type]
            sums = np.asarray(each, np.float64)[: len(now)]
            pace = (time.perf_counter() - began) / len(now)
            (most,) = processes.agreed(max(1, min(BLOCK, 2 * most, int(DISPATCH / pace))))
            bad = ~np.isfinite(sums[:, 0])
            if bad.any():
                raise _diverged("loss", int(state.step) - len(now) + int(bad.argmax()) + 1, rate)
            total = np.add.accumulate([run.sums, *sums])[-1]  # one by one, so that no bit hangs on how many at once
            run = run._replace(state=state, taken=run.taken + len(now), sums=total)
            loss, accuracy = _averages(total)
            bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.4f}", refresh=False)
            bar.update(int((now >= 0).sum()) * weight)
            yield run


def _sizes(blocks: list[Block]) -> np.ndarray:
    """How many examples each step has."""
    return np.concatenate([(block.rows >= 0).sum(1) for block in blocks])


def _closed(run: TrainingState, latest: Epoch, settings: Training) -> TrainingState:
    """The run at the start of its next epoch."""
    stopping, best = settings.early_stopping, run.best
    if stopping and (best is None or _better(latest, best.epoch, stopping.metric)):
        # The state itself is donated on.
        best = Best(latest, *jax.tree.map(jnp.copy, (run.state.params, run.state.model_state)))
    return TrainingState(run.state, run.epoch + 1, history=(*run.history, latest), best=best)


def _diverged(what: str, step: int, rate: optax.Schedule) -> UserError:
    return UserError(
        f"the {what} is not finite at step {step:,}, learning rate {float(rate(step)):.3g}: "  # type: ignore[arg-type]
        "lower learning_rate, or set gradient_clip (1.0, say), both under models.*.training"
    )


def _averages(sums: Float[np.ndarray, " 4"]) -> tuple[float, float]:
    of = LossSums(*sums.tolist())
    return float(of.loss / of.weight), float(of.correct / of.targets)


def _better(one: Epoch, other: Epoch, metric: str) -> bool:
    if metric == "loss":
        return one.validation_loss < other.validation_loss
    return one.validation_accuracy > other.validation_accuracy


def _tell(epoch: Epoch, rate: str) -> None:
    tqdm.write(
        f"epoch {epoch.epoch}: train loss {epoch.train_loss:.4f}, accuracy {epoch.train_accuracy:.4f}; "
        f"validation loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}; {rate}"
    )
