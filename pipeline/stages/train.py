"""Stage 3: arrays -> a trained model, its curves and its metrics. Runs on the devices that JAX finds."""

import csv
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any

import jax
import optax

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import Network, NetworkSettings
from pipeline.config.params import Key, Seed, StageParams
from pipeline.config.training import ENOUGH_STEPS, Training, TrainingSection
from pipeline.evaluation.predictor import Tree
from pipeline.examples.task import Task
from pipeline.loaders import buckets
from pipeline.models import weights
from pipeline.parallel import processes, sharding
from pipeline.runtime import strict_json
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.training import allocator, optimizers, resume
from pipeline.training.checkpoints import naming
from pipeline.training.checkpoints.checkpointer import Checkpointer, Participant
from pipeline.training.live_curves import LiveCurves
from pipeline.training.loop import Monitor, fit
from pipeline.training.run import Epoch, TrainingRun, to_checkpoint
from pipeline.training.trainer import State, Trainer, fit_statistics, start
from pipeline.training.training_log import TrainingLog


class Params(StageParams):
    seed: Annotated[Seed, Key("seed")]
    model: Annotated[str, Key("model")]
    task: Annotated[dict[str, Any], Key("datasets.{dataset}.task")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]
    training: Annotated[TrainingSection, Key("models.{model}.training")]


@processes.distributed()
def main(params: Params, inputs: Inputs) -> None:
    allocator.keep_freed_memory()
    task = tasks.read(params.task, inputs.dataset)
    examples = task.training_examples(params.network)
    settings = params.training.resolved(examples)
    params = params.model_copy(update={"training": settings})  # what the record holds
    devices = sharding.make_mesh(settings.mesh, batch=settings.part, tensor_parallel=params.network.tensor_parallel)
    loader = task.loader(params.network, settings, seed=params.seed, devices=devices)
    rate = optimizers.learning_rate(
        settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=loader.steps
    )
    trainer, state = build_trainer(task, params.network, settings, params.seed, rate, devices)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    steps = settings.epochs * loader.steps
    print(
        f"{params.model}: {parameters:,} parameters, {loader.size:,} {loader.unit}, {settings.epochs} epochs, "
        f"{steps:,} steps of {settings.batch_size}, on {device_names()}",
        flush=True,
    )
    if steps < ENOUGH_STEPS:
        auto = settings.model_copy(update={"epochs": "auto"}).resolved(examples).epochs
        print(f"note: {steps:,} steps are few to learn from: `epochs: auto` would train for {auto} epochs", flush=True)
    validate, monitor = task.validation(trainer.predictor, params.network), choose_monitor(task, settings, trainer)

    record, machine = provenance.record(inputs, params), provenance.machine()
    # Process 0's: another machine may have another processor, which is part of the fingerprint.
    name = processes.broadcast(naming.fingerprint({"made_from": record, "machine": machine}))
    facts = {"model": params.model, "seed": params.seed, "made_from": record, "machine": machine}
    checkpointer = Checkpointer(naming.top() / name, every=naming.interval(), check=inputs.check, facts=facts)
    main_process = processes.is_main_process()
    curves = LiveCurves(paths.LIVE, paths.EVENTS, metric=task.metric) if main_process else None
    with (
        checkpointer.only_writer() if main_process else nullcontext(),
        TrainingLog(
            paths.LOGS / "train.jsonl" if main_process else None,
            every=checkpointer.every,
            context={"run": name, "model": params.model},
            curves=curves,
        ) as log,
    ):
        run, moved_from = resume.start(checkpointer.run, record, state)
        checkpointer.facts["moved_from"] = moved_from
        del state  # or it would stay in memory beside that of a run that resumes
        allocator.return_unused()
        if main_process:
            checkpointer.snapshot.reserve(to_checkpoint(run).arrays)
        if curves:
            earlier = [{**epoch._asdict(), "step": epoch.epoch * loader.steps} for epoch in run.history]
            curves.begin(name, int(run.state.step), earlier)
        log.write({"epoch": run.epoch, "step": int(run.state.step), "begins": True})
        saver = checkpointer if main_process else Participant()
        run = fit(trainer, run, loader, validate, monitor, settings, rate, checkpointer=saver, log=log)

    kept = run.kept
    tree = jax.tree.map(processes.gather_to_host, {"params": kept.params, "model_state": kept.model_state})
    if main_process:
        write(run, tree, settings, parameters, task.metric, record)
        digest = sha256(paths.TRAINED / "weights.safetensors")
        moved = {"moved_from": moved_from} if moved_from else {}
        # Outside DVC's outputs: the same model may be trained on another machine.
        strict_json.write(paths.TRAINED_ON, {"weights": digest, "machine": {**machine, **moved}})
        checkpointer.finish(digest)
        if curves:
            curves.end()
    processes.barrier()  # all processes end together


def choose_monitor(task: Task, settings: Training, trainer: Trainer) -> Monitor:
    """What the best epoch is chosen by. Raises UserError where these labels do not have it."""
    name = settings.monitor or task.monitor
    return Monitor(name, task.metrics[name], task.validation_figure(name, trainer.predictor))


def build_trainer(
    task: Task,
    network: NetworkSettings,
    settings: Training,
    seed: int,
    rate: optax.Schedule,
    devices: jax.sharding.Mesh | None,
) -> tuple[Trainer, State]:
    """The trainer, and the state before the first step. Raises UserError where training needs more memory than the
    device has.
    """
    optimizer = partial(
        optimizers.build,
        settings.optimizer,
        rate,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    trainer, state = start(
        network,
        task,
        optimizer,
        seed=seed,
        label_smoothing=settings.label_smoothing,
        augmentation=settings.augmentation,
        microbatches=settings.microbatches,
        devices=devices,
    )
    task.check_memory(trainer, state, network, settings)
    return trainer, fit_statistics(trainer.predictor, state, lambda: buckets.load(paths.features("train"), task.inputs))


def write(
    run: TrainingRun, tree: Tree, settings: Training, parameters: int, metric: str, record: dict[str, Any]
) -> None:
    """Writes the stage's outputs: `tree` holds the arrays of the model that is kept, `metric` names the task's."""
    epoch = run.kept.epoch
    weights.write(paths.TRAINED / "weights.safetensors", tree)
    strict_json.write(paths.TRAINED / "provenance.json", record)
    with (paths.TRAINED / "history.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Epoch._fields, *run.history])
    strict_json.write(
        paths.TRAINED / "metrics.json",
        {
            "parameters": parameters,
            "steps": int(run.state.step),
            "epochs": len(run.history),
            "batch_size": settings.batch_size,
            "kept_epoch": epoch.epoch,
            "train": {"loss": epoch.train_loss, metric: epoch.train_metric},
            "validation": {"loss": epoch.validation_loss, metric: epoch.validation_metric},
        },
    )


def device_names() -> str:
    """The devices that train, for people: "cpu", or "8 x gpu (NVIDIA H100) of 2 processes"."""
    device = jax.devices()[0]
    kind = f"{device.platform} ({device.device_kind})" if device.platform != device.device_kind else device.platform
    count, process_count = jax.device_count(), jax.process_count()
    shown = kind if count == 1 else f"{count} x {kind}"
    return shown if process_count == 1 else f"{shown} of {process_count} processes"
