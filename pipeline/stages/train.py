"""Stage 3: arrays -> a trained model, its curves and its metrics. Runs on whatever device JAX finds."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import jax
import pandas as pd
from pydantic import NonNegativeInt

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.config.training import ClassWeights, Training
from pipeline.evaluation import predictor, token_losses
from pipeline.evaluation.predictor import Tree
from pipeline.loaders import buckets, token_store
from pipeline.loaders.loader import ExampleLoader, Loader, WindowLoader, put
from pipeline.models import weights
from pipeline.parallel import processes, sharding
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import LanguageModelling, Task
from pipeline.tasks.loss import LossSums, balanced
from pipeline.training import allocator, memory_plan, optimizers, trainer
from pipeline.training.checkpoints import store
from pipeline.training.checkpoints.store import Checkpoint, Checkpointer, fingerprint, interval, top
from pipeline.training.loop import NoCheckpointer, Saves, fit
from pipeline.training.state import TrainingState, from_checkpoint, to_checkpoint
from pipeline.training.trainer import State, Trainer


class Params(StageParams):
    seed: Annotated[NonNegativeInt, Key("seed")]
    model: Annotated[str, Key("model")]
    class_weights: Annotated[ClassWeights, Key("datasets.{dataset}.class_weights")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]
    training: Annotated[Training, Key("models.{model}.training")]


@processes.together()
def main(params: Params, inputs: Inputs) -> None:
    allocator.keep_freed_memory()
    settings = params.training
    task = tasks.read(paths.FEATURES / "task.json")
    config = params.network
    devices = sharding.make(settings.mesh, batch=settings.part, layer=config.tensor_parallel)
    feed, held_out = sources(task, config, settings, params, devices)

    rate = optimizers.learning_rate(settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=feed.steps)
    learn, state = trainer.start(
        config,
        task,
        optimizers.build(
            settings.optimizer, rate, weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip
        ),
        seed=params.seed,
        label_smoothing=settings.label_smoothing,
        class_weights=balanced(task.counts) if params.class_weights == "balanced" else None,
        augmentation=settings.augmentation,
        microbatches=settings.microbatches,
        devices=devices,
    )
    if isinstance(task, LanguageModelling):
        memory_plan.refuse(
            memory_plan.estimate(learn, state, config, settings), memory_plan.available(), settings, config
        )
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    print(f"{params.model}: {parameters:,} parameters, {feed.size:,} {feed.unit}, on {where()}", flush=True)

    record, machine = provenance.record(inputs, params), provenance.machine()
    name = one_name(fingerprint({"made_from": record, "machine": machine}))
    keeper = Checkpointer(
        top() / name,
        every=interval(),
        check=inputs.check,
        about={"model": params.model, "seed": params.seed, "made_from": record, "machine": machine},
    )
    writes = processes.first()
    log_file = paths.LOGS / "train.jsonl" if writes else os.devnull
    paths.LOGS.mkdir(exist_ok=True)
    with keeper.only_writer() if writes else nullcontext(), open(log_file, "a", encoding="utf-8") as log:
        noted = 0.0

        def note(figures: dict[str, Any]) -> None:
            """Writes the figures of an epoch; of mere steps, a line every ten seconds."""
            nonlocal noted
            if "train_loss" not in figures and time.monotonic() - noted < min(10, keeper.every):
                return
            noted = time.monotonic()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            print(json.dumps({"time": stamp, "run": name, "model": params.model, **figures}), file=log, flush=True)

        run = resumed(keeper, store.moved(record), state)
        del state  # of a run that goes on, it would else lie beside the run's own
        allocator.give_back()
        if writes:
            keeper.snapshot.reserve(to_checkpoint(run).arrays)
        note({"epoch": run.epoch, "step": int(run.state.step), "begins": True})
        keep: Saves = keeper if writes else NoCheckpointer()
        run = fit(learn, run, feed, held_out(learn), settings, rate, keeper=keep, log=note)

    kept = run.kept
    tree = jax.tree.map(processes.host, {"params": kept.params, "model_state": kept.model_state})
    if writes:
        write(run, tree, parameters, record)
        weights_hash = sha256(paths.TRAINED / "weights.safetensors")
        moved = {"moved_from": on} if (on := keeper.about.get("moved_from")) else {}
        # Outside DVC's outputs: another machine may come to the very same model.
        strict_json.write(paths.TRAINED_ON, {"weights": weights_hash, "machine": {**machine, **moved}})
        keeper.finish(weights_hash)
    processes.agreed(0)  # they end together


def where() -> str:
    """On what this trains, for people."""
    device = jax.devices()[0]
    kind = f"{device.platform} ({device.device_kind})" if device.platform != device.device_kind else device.platform
    count, others = jax.device_count(), jax.process_count()
    shown = kind if count == 1 else f"{count} x {kind}"
    return shown if others == 1 else f"{shown} of {others} processes"


def one_name(name: str) -> str:
    """The run's name as process 0 has it: another machine may have another processor, which is a part of it."""
    places = range(0, len(name), 4)
    said = processes.agreed(*(int(name[at : at + 4], 16) if processes.first() else 0 for at in places))
    return "".join(f"{part:04x}" for part in said)


def resumed(keeper: Checkpointer, other: Path | None, state: State) -> TrainingState:
    """The run as it was interrupted, or at `state`, its start."""
    found = interrupted(keeper, other)
    if not found:
        return TrainingState(state)
    run = from_checkpoint(found, state)
    jax.block_until_ready((run.state, run.best))  # copied from what was read, which goes then
    if processes.first():
        print(f"going on from step {int(run.state.step):,}, in epoch {run.epoch}", file=sys.stderr, flush=True)
    return run


def interrupted(keeper: Checkpointer, other: Path | None) -> Checkpoint | None:
    """The checkpoint to go on from, if there is one: the run's own, or else that of `other`, a run on other devices,
    whose name is then in all that are written. Process 0 decides which.
    """
    found = keeper.newest() if processes.first() else None
    own = found is not None
    if not own and other and processes.first():
        found = Checkpointer(other, every=0).newest()
    facts: Any = found.facts if found else {}
    epoch, step, own = processes.agreed(int(facts.get("epoch", 0)), int(facts.get("step", 0)), own)
    if epoch and not processes.first():
        found = Checkpointer(keeper.folder if own or not other else other, every=0).named(store.name(epoch, step))
    if found:
        before = found.facts.get("moved_from", [])
        keeper.about["moved_from"] = before if own or not other else [*before, other.name]
    return found


def write(run: TrainingState, tree: Tree, parameters: int, record: dict[str, Any]) -> None:
    """The stage's outputs: `tree` holds the arrays of the model that is kept."""
    kept = run.kept
    weights.write(paths.TRAINED / "weights.safetensors", tree)
    strict_json.write(paths.TRAINED / "provenance.json", record)
    pd.DataFrame(run.history).to_csv(paths.TRAINED / "history.csv", index=False, lineterminator="\n")
    strict_json.write(
        paths.TRAINED / "metrics.json",
        {
            "parameters": parameters,
            "steps": int(run.state.step),
            "epochs": len(run.history),
            "kept_epoch": kept.epoch.epoch,
            "train": {"loss": kept.epoch.train_loss, "accuracy": kept.epoch.train_accuracy},
            "validation": {"loss": kept.epoch.validation_loss, "accuracy": kept.epoch.validation_accuracy},
        },
    )


Validate = Callable[[Tree, Tree], LossSums]


def sources(
    task: Task, config: Any, settings: Training, params: Params, devices: jax.sharding.Mesh | None
) -> tuple[Loader, Callable[[Trainer], Validate]]:
    """What the model learns from, and how it is tried on the validation split. Raises UserError where they do not fit
    the settings.
    """
    folders = [paths.features(split) for split in ("train", "validation")]
    if isinstance(task, LanguageModelling):
        text, rest = (token_store.load(folder) for folder in folders)
        feed = WindowLoader(
            text,
            seed=params.seed,
            batch=settings.batch_size,
            context=config.context,
            steps=settings.epoch_steps,
            devices=devices,
        )
        return feed, lambda learn: lambda p, r: token_losses.total_loss(learn.predictor, p, r, rest, config.context)
    if settings.epoch_steps:
        raise UserError(f"models.{params.model}.training.epoch_steps: is for language models: remove it")
    train, validation = (buckets.load(folder, task) for folder in folders)
    held_out, plan = put(validation, devices), predictor.evaluation_batches(validation)
    return (
        ExampleLoader(train, seed=params.seed, batch=settings.batch_size, devices=devices),
        lambda learn: lambda p, r: predictor.measure(learn.predictor, p, r, held_out, plan),
    )
