"""The training loop: epochs, validation, the best epoch, early stopping, progress, checkpoints.

A TrainingRun holds everything that changes, so a run that was interrupted and resumes from a checkpoint ends with the
same bits as one without a stop.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from tqdm import tqdm

from pipeline.config.training import Training
from pipeline.evaluation.predictor import Tree
from pipeline.examples.batch import LossSums
from pipeline.loaders.buckets import BLOCK, Block
from pipeline.loaders.device_examples import LoadedBlock
from pipeline.loaders.loader import Loader
from pipeline.parallel import processes
from pipeline.runtime.errors import Stopped, UserError
from pipeline.training.checkpoints.checkpointer import SavesRuns
from pipeline.training.checkpoints.naming import checkpoint_name
from pipeline.training.run import Best, Epoch, TrainingRun, to_checkpoint
from pipeline.training.signals import DeferredSignals
from pipeline.training.trainer import Trainer

DISPATCH_SECONDS = 0.5  # of steps, at most about: between two dispatches, signals are handled and checkpoints saved

Validate: TypeAlias = Callable[[Tree, Tree], LossSums]  # of params and model_state, on the validation split


class Monitor(NamedTuple):
    """What the best epoch has the best of, on the validation split."""

    name: str  # loss, the task's metric, or what `measure` gives
    rises: bool  # more is better
    measure: Callable[[Tree, Tree], float] | None = None  # of params and model_state


class Log(Protocol):
    def write(self, figures: dict[str, Any]) -> None: ...
    def progress(self, figures: dict[str, Any]) -> None: ...


def fit(
    trainer: Trainer,
    run: TrainingRun,
    loader: Loader,
    validate: Validate,
    monitor: Monitor,
    settings: Training,
    learning_rate: optax.Schedule,
    *,
    checkpointer: SavesRuns,
    log: Log,
) -> TrainingRun:
    """Trains from where `run` stands to its end: all epochs, or until validation stops improving.

    The log's `progress` gets the step and the figures of the epoch so far after each dispatch, its `write` each epoch's
    figures and the examples or tokens a second. Raises UserError at a loss that is not finite, with the step and the
    learning rate, and Stopped after a signal, once the run is saved.
    """
    per_epoch = int(_sizes(loader.epoch(run.epoch)).sum()) * loader.weight
    with (
        DeferredSignals() as signals,
        tqdm(
            total=settings.epochs * per_epoch,
            initial=(run.epoch - 1) * per_epoch,
            desc="train",
            unit=f" {loader.unit}",
            unit_scale=True,
            disable=None if processes.is_main_process() else True,
        ) as bar,
    ):
        while not finished(run, settings):
            began, first = time.perf_counter(), run.steps_done
            blocks = loader.epoch(run.epoch)
            bar.update(int(_sizes(blocks)[:first].sum()) * loader.weight)
            for later in _dispatches(trainer, run, loader.load(blocks, first), learning_rate, bar, loader.weight):
                run = later
                so_far = dict(zip(Epoch._fields[1:3], _averages(run.sums)))  # loss and metric in this epoch
                log.progress({"epoch": run.epoch, "step": int(run.state.step), **so_far})
                due = not signals.received and checkpointer.due()
                number, asked, due = processes.agree_max(signals.received, signals.save, due)
                is_saved = False
                if number or asked or due:
                    is_saved = save(run, settings, checkpointer, wait=number > 0 or asked > 0)
                step = f"{int(run.state.step):,}"
                if number and is_saved:
                    raise Stopped(number, f"stopped and saved at step {step}: run the same command again to resume")
                if number:
                    raise Stopped(
                        number,
                        f"stopped at step {step}, which could not be saved: run the same command again to resume from "
                        "the last checkpoint, if there is one",
                    )
                if asked:
                    signals.save = False
                    tqdm.write(f"saved at step {step}" if is_saved else f"step {step} could not be saved")
            seconds = time.perf_counter() - began
            rate = int(_sizes(blocks)[first:].sum()) * loader.weight / seconds
            loss, metric = _averages(np.array(validate(run.state.params, run.state.model_state)))
            if not np.isfinite(loss):
                raise _diverged("loss on the validation split", int(run.state.step), learning_rate)
            known = {"loss": loss, trainer.predictor.task.metric: metric}
            monitored = (
                monitor.measure(run.state.params, run.state.model_state) if monitor.measure else known[monitor.name]
            )
            epoch = Epoch(run.epoch, *_averages(run.sums), loss, metric, monitored)
            run = _next_epoch(run, epoch, monitor, is_last=run.epoch == settings.epochs)
            step = int(run.state.step)
            log.write({**epoch._asdict(), "step": step, "seconds": seconds, f"{loader.unit}_per_second": rate})
            _print(epoch, trainer.predictor.task.metric, monitor, f"{rate:,.0f} {loader.unit}/s")
        kept = run.kept.epoch
        stopped = "stopped early; " if run.epoch <= settings.epochs else ""
        tqdm.write(f"{stopped}kept: epoch {kept.epoch}, the best by validation {monitor.name} ({kept.monitored:.4f})")
        # Until DVC has recorded the result, a kill makes it start the stage again: that must not train anew.
        is_saved = save(run, settings, checkpointer, wait=True)
        (number,) = processes.agree_max(signals.received)
        if number:
            done = "done and saved" if is_saved else "done, but could not be saved"
            raise Stopped(number, f"stopped: training is {done}; run the same command again to continue")
    return run


def finished(run: TrainingRun, settings: Training) -> bool:
    stopping = settings.early_stopping
    waited = run.best and run.epoch - 1 - run.best.epoch.epoch
    return run.epoch > settings.epochs or bool(stopping and waited and waited >= stopping.patience)


def save(run: TrainingRun, settings: Training, checkpointer: SavesRuns, *, wait: bool) -> bool:
    """False where it is known that nothing could be written."""
    arrays, facts = to_checkpoint(run)
    facts["finished"] = finished(run, settings)
    is_saved = checkpointer.save(checkpoint_name(run.epoch, int(run.state.step)), arrays, facts, wait=wait)
    if wait:
        processes.barrier()  # no process ends before the checkpoint is written
    return is_saved


def _dispatches(
    trainer: Trainer,
    run: TrainingRun,
    blocks: Iterator[LoadedBlock],
    learning_rate: optax.Schedule,
    bar: Any,
    weight: int,
) -> Iterator[TrainingRun]:
    """The run after each dispatch of as many steps as take about DISPATCH_SECONDS."""
    most = 1
    for data, rows, length in blocks:
        while len(rows):
            now, rows = rows[:most], rows[most:]
            began = time.perf_counter()
            padded = np.pad(now, [(0, BLOCK - len(now)), (0, 0)])
            state, each = trainer.train_block(run.state, data, padded, np.int32(len(now)), length)  # type: ignore[arg-type]
            sums = np.asarray(each, np.float64)[: len(now)]  # s 4
            seconds_per_step = (time.perf_counter() - began) / len(now)
            (most,) = processes.agree_max(max(1, min(BLOCK, 2 * most, int(DISPATCH_SECONDS / seconds_per_step))))
            bad = ~np.isfinite(sums[:, 0])
            if bad.any():
                raise _diverged("loss", int(state.step) - len(now) + int(bad.argmax()) + 1, learning_rate)
            # Added one by one: the sum's last bits must not depend on how many steps a dispatch has.
            total = np.add.accumulate([run.sums, *sums])[-1]
            run = run._replace(state=state, steps_done=run.steps_done + len(now), sums=total)
            loss, metric = _averages(total)
            shown = {"loss": f"{loss:.4f}", trainer.predictor.task.metric: f"{metric:.4f}"}
            bar.set_postfix(shown, refresh=False)
            bar.update(int((now >= 0).sum()) * weight)
            yield run


def _sizes(blocks: list[Block]) -> Int[np.ndarray, " s"]:
    """The number of examples in each step."""
    return np.concatenate([(block.rows >= 0).sum(1) for block in blocks])


def _next_epoch(run: TrainingRun, epoch: Epoch, monitor: Monitor, *, is_last: bool) -> TrainingRun:
    """The run at the start of the epoch after `epoch`."""
    best = run.best
    if best is None or _better(epoch, best.epoch, monitor):
        trees = (run.state.params, run.state.model_state)
        # A copy, unless no step follows: the state's own memory is donated to the next step.
        best = Best(epoch, *(trees if is_last else jax.tree.map(jnp.copy, trees)))
    return TrainingRun(run.state, run.epoch + 1, history=(*run.history, epoch), best=best)


def _diverged(what: str, step: int, learning_rate: optax.Schedule) -> UserError:
    return UserError(
        f"the {what} is not finite at step {step:,}, learning rate {float(learning_rate(step)):.3g}: "  # type: ignore[arg-type]
        "lower learning_rate, or set gradient_clip (to 1.0, for example): both are settings of the model's training"
    )


def _averages(sums: Float[np.ndarray, " 4"]) -> tuple[float, float]:
    """Loss and the task's metric."""
    totals = LossSums(*sums.tolist())
    return float(totals.loss / totals.weight), float(totals.score / (totals.score_weight or 1.0))


def _better(one: Epoch, other: Epoch, monitor: Monitor) -> bool:
    """Whether an epoch is better than an earlier one; of equals, the one with the smaller loss."""
    if one.monitored == other.monitored:
        return one.validation_loss < other.validation_loss
    return (one.monitored > other.monitored) == monitor.rises


def _print(epoch: Epoch, metric: str, monitor: Monitor, rate: str) -> None:
    measured = f", {monitor.name} {epoch.monitored:.4f}" if monitor.measure else ""
    tqdm.write(
        f"epoch {epoch.epoch}: train loss {epoch.train_loss:.4f}, {metric} {epoch.train_metric:.4f}; "
        f"validation loss {epoch.validation_loss:.4f}, {metric} {epoch.validation_metric:.4f}{measured}; {rate}"
    )
