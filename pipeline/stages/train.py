"""Stage 3: arrays -> a trained model, its curves and its metrics. Runs on the devices that JAX finds."""

from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any

import jax
import optax
import pandas as pd
from pydantic import NonNegativeInt

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import LanguageModelConfig, Network
from pipeline.config.params import Key, StageParams
from pipeline.config.training import ClassWeights, Training
from pipeline.evaluation import token_losses
from pipeline.evaluation.predictor import Predictor, Tree, evaluation_batches, measure
from pipeline.loaders import buckets, token_store
from pipeline.loaders.loader import ExampleLoader, Loader, WindowLoader, put
from pipeline.models import weights
from pipeline.parallel import processes, sharding
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import Task
from pipeline.tasks.loss import balanced
from pipeline.training import allocator, memory_plan, optimizers, resume
from pipeline.training.checkpoints import naming
from pipeline.training.checkpoints.checkpointer import Checkpointer, Participant
from pipeline.training.loop import Validate, fit
from pipeline.training.run import TrainingRun, to_checkpoint
from pipeline.training.trainer import State, Trainer, fit_statistics, start
from pipeline.training.training_log import TrainingLog


class Params(StageParams):
    seed: Annotated[NonNegativeInt, Key("seed")]
    model: Annotated[str, Key("model")]
    class_weights: Annotated[ClassWeights, Key("datasets.{dataset}.class_weights")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]
    training: Annotated[Training, Key("models.{model}.training")]


@processes.distributed()
def main(params: Params, inputs: Inputs) -> None:
    allocator.keep_freed_memory()
    settings = params.training
    task = tasks.read(paths.FEATURES / "task.json")
    devices = sharding.make_mesh(settings.mesh, batch=settings.part, tensor_parallel=params.network.tensor_parallel)
    loader = training_loader(task, params, devices)
    rate = optimizers.learning_rate(
        settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=loader.steps
    )
    trainer, state = build_trainer(task, params, rate, devices)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    print(f"{params.model}: {parameters:,} parameters, {loader.size:,} {loader.unit}, on {device_names()}", flush=True)
    validate = validation(task, params, trainer.predictor)

    record, machine = provenance.record(inputs, params), provenance.machine()
    # Process 0's: another machine may have another processor, which is part of the fingerprint.
    name = processes.broadcast(naming.fingerprint({"made_from": record, "machine": machine}))
    facts = {"model": params.model, "seed": params.seed, "made_from": record, "machine": machine}
    checkpointer = Checkpointer(naming.top() / name, every=naming.interval(), check=inputs.check, facts=facts)
    main_process = processes.is_main_process()
    with (
        checkpointer.only_writer() if main_process else nullcontext(),
        TrainingLog(
            paths.LOGS / "train.jsonl" if main_process else None,
            every=checkpointer.every,
            context={"run": name, "model": params.model},
        ) as log,
    ):
        run, moved_from = resume.start(checkpointer.run, record, state)
        checkpointer.facts["moved_from"] = moved_from
        del state  # or it would stay in memory beside that of a run that resumes
        allocator.return_unused()
        if main_process:
            checkpointer.snapshot.reserve(to_checkpoint(run).arrays)
        log.write({"epoch": run.epoch, "step": int(run.state.step), "begins": True})
        saver = checkpointer if main_process else Participant()
        run = fit(trainer, run, loader, validate, settings, rate, checkpointer=saver, log=log)

    kept = run.kept
    tree = jax.tree.map(processes.gather_to_host, {"params": kept.params, "model_state": kept.model_state})
    if main_process:
        write(run, tree, parameters, record)
        digest = sha256(paths.TRAINED / "weights.safetensors")
        moved = {"moved_from": moved_from} if moved_from else {}
        # Outside DVC's outputs: the same model may be trained on another machine.
        strict_json.write(paths.TRAINED_ON, {"weights": digest, "machine": {**machine, **moved}})
        checkpointer.finish(digest)
    processes.barrier()  # all processes end together


def training_loader(task: Task, params: Params, devices: jax.sharding.Mesh | None) -> Loader:
    """The training split in batches. Raises UserError where it does not fit the settings."""
    settings, folder = params.training, paths.features("train")
    if isinstance(params.network, LanguageModelConfig):
        return WindowLoader(
            token_store.load(folder),
            seed=params.seed,
            batch=settings.batch_size,
            context=params.network.context,
            steps=settings.epoch_steps,
            devices=devices,
        )
    if settings.epoch_steps:
        raise UserError(f"models.{params.model}.training.epoch_steps: is for language models: remove it")
    return ExampleLoader(buckets.load(folder, task), seed=params.seed, batch=settings.batch_size, devices=devices)


def validation(task: Task, params: Params, predictor: Predictor) -> Validate:
    """What measures parameters on the validation split."""
    folder = paths.features("validation")
    if isinstance(params.network, LanguageModelConfig):
        text = token_store.load(folder)
        return partial(token_losses.total_loss, predictor, text=text, context=params.network.context)
    examples = buckets.load(folder, task)
    batches = evaluation_batches(examples)
    return partial(measure, predictor, data=put(examples, predictor.mesh), batches=batches)


def build_trainer(
    task: Task, params: Params, rate: optax.Schedule, devices: jax.sharding.Mesh | None
) -> tuple[Trainer, State]:
    """The trainer, and the state before the first step. Raises UserError where training needs more memory than the
    device has.
    """
    settings = params.training
    optimizer = partial(
        optimizers.build,
        settings.optimizer,
        rate,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    trainer, state = start(
        params.network,
        task,
        optimizer,
        seed=params.seed,
        label_smoothing=settings.label_smoothing,
        class_weights=balanced(task.counts) if params.class_weights == "balanced" else None,
        augmentation=settings.augmentation,
        microbatches=settings.microbatches,
        devices=devices,
    )
    if isinstance(params.network, LanguageModelConfig):
        plan = memory_plan.estimate(trainer, state, params.network, settings)
        memory_plan.refuse(plan, memory_plan.available(), settings, params.network)
        return trainer, state
    return trainer, fit_statistics(trainer.predictor, state, buckets.load(paths.features("train"), task))


def write(run: TrainingRun, tree: Tree, parameters: int, record: dict[str, Any]) -> None:
    """Writes the stage's outputs: `tree` holds the arrays of the model that is kept."""
    epoch = run.kept.epoch
    weights.write(paths.TRAINED / "weights.safetensors", tree)
    strict_json.write(paths.TRAINED / "provenance.json", record)
    pd.DataFrame(run.history).to_csv(paths.TRAINED / "history.csv", index=False, lineterminator="\n")
    strict_json.write(
        paths.TRAINED / "metrics.json",
        {
            "parameters": parameters,
            "steps": int(run.state.step),
            "epochs": len(run.history),
            "kept_epoch": epoch.epoch,
            "train": {"loss": epoch.train_loss, "accuracy": epoch.train_accuracy},
            "validation": {"loss": epoch.validation_loss, "accuracy": epoch.validation_accuracy},
        },
    )


def device_names() -> str:
    """The devices that train, for people: "cpu", or "8 x gpu (NVIDIA H100) of 2 processes"."""
    device = jax.devices()[0]
    kind = f"{device.platform} ({device.device_kind})" if device.platform != device.device_kind else device.platform
    count, process_count = jax.device_count(), jax.process_count()
    shown = kind if count == 1 else f"{count} x {kind}"
    return shown if process_count == 1 else f"{shown} of {process_count} processes"
