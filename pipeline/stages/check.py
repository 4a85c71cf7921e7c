"""Checks the whole of params.yaml before a stage computes anything: every section, and whether the chosen ones fit.

It only refuses; nothing that it reads enters a result. By hand: `python -m pipeline check`.
"""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import tasks
from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.config.evaluation import EvaluationSettings
from pipeline.config.networks import NETWORKS, CNNConfig, Network, TransformerConfig
from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.config.section import Section, validate
from pipeline.config.training import TrainingSection
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks import dataset
from pipeline.tasks.dataset import Dataset

LEVELS = re.compile(r"[.\[\]{}$:=,]")  # what DVC gives a meaning in a key


class File(Section):
    dataset: str
    model: str
    seed: yaml.Seed
    evaluation: EvaluationSettings
    datasets: dict[str, Any]
    models: dict[str, Any]


class Model(Section):
    network: Network
    training: TrainingSection


class Chosen(NamedTuple):
    """The file, and the sections that it chooses."""

    file: File
    dataset: Dataset
    model: Model


def params(path: Path = paths.PARAMS) -> Chosen:
    """What params.yaml says. Raises UserError with one line for the first mistake in it."""
    file = validate(File, yaml.read(path), path)
    for name in file.datasets:
        if mark := LEVELS.search(name):
            raise UserError(f"{path}: datasets: {name!r}: DVC cannot read a name with {mark[0]!r}: use - instead")
    datasets = {name: dataset.read(section, name, path) for name, section in file.datasets.items()}
    models: dict[str, Model] = {}
    for name, section in file.models.items():
        if name not in NETWORKS:
            raise UserError(f"{path}: models.{name}: no such model; the models here: {', '.join(NETWORKS)}")
        if isinstance(section, dict) and "network" in section:
            section = {**section, "network": yaml.tagged(section["network"], name, f"models.{name}.network", path)}
        models[name] = validate(Model, section, path, under=f"models.{name}")
    for selector, chosen, sections in (("dataset", file.dataset, datasets), ("model", file.model, file.models)):
        if chosen not in sections:
            raise UserError(f"{path}: {selector}: must be one of {', '.join(sections)}, not {chosen!r}")
    kind, metrics = datasets[file.dataset].inputs, datasets[file.dataset].task.metrics
    monitor = models[file.model].training.monitor
    if monitor not in (None, *metrics):
        raise UserError(
            f"{path}: models.{file.model}.training.monitor: must be one of {', '.join(metrics)}, the metrics of "
            f"{file.dataset}'s task, not {monitor!r}"
        )
    able = [name for name, config in NETWORKS.items() if kind in config.inputs]
    if file.model not in able:
        raise UserError(
            f"{path}: model: {file.model} does not read {kind}, the inputs of {file.dataset}; choose one of "
            f"{', '.join(able)}"
        )
    chosen = Chosen(file, datasets[file.dataset], models[file.model])
    _fit(chosen, path)
    return chosen


def _fit(chosen: Chosen, path: Path) -> None:
    """Raises UserError where a setting of the model does not fit the others: a stage would raise the same later."""
    dataset, network, training = chosen.dataset, chosen.model.network, chosen.model.training
    section = f"{path}: models.{network.name}"
    match network, dataset.preprocessing:
        case TransformerConfig(width=width, heads=heads), _ if width % (2 * heads):
            raise UserError(f"{section}.network.width: {width} is not a multiple of twice the heads ({heads})")
        case CNNConfig(kernel=kernel), ImagePreprocessing(height=height, width=width) if min(height, width) <= kernel:
            raise UserError(f"{section}.network.kernel: {kernel} is too large for images of {height} x {width}")
        case _:
            pass
    if training.epoch_steps and dataset.inputs != "corpus":
        raise UserError(f"{section}.training.epoch_steps: is for language models: remove it")
    if training.mesh and training.batch_size != "auto":
        from pipeline.parallel import sharding  # loads JAX

        try:
            part = training.batch_size // training.microbatches
            sharding.check(training.mesh, batch=part, tensor_parallel=network.tensor_parallel)
        except UserError as error:
            raise UserError(f"{section}.{error}") from error


def sizes(chosen: Chosen, path: Path = paths.PARAMS) -> None:
    """Raises UserError where a setting of the model does not fit the number of examples, if prepare has already counted
    them: train would raise the same later.
    """
    dataset, training = chosen.dataset, chosen.model.training
    section = f"{path}: models.{chosen.file.model}"
    if not (examples := prepared_examples(dataset)):
        return
    if is_text := dataset.inputs == "corpus":
        if (task := encoded_corpus(chosen)) is None:
            return
        examples = sum(task.counts)  # tokens
    if dataset.inputs == "images" and training.batch_size != "auto" and training.batch_size > examples:
        raise UserError(
            f"{section}.training.batch_size: {training.batch_size} is more than the {examples:,} training examples; "
            "lower it"
        )
    from pipeline.loaders import token_store  # loads JAX
    from pipeline.training import optimizers

    context = getattr(chosen.model.network, "context", 1)
    settings = training.resolved(examples // context)
    try:
        if is_text:
            per_pass = token_store.steps_per_pass(examples, context=context, batch=settings.batch_size)
            steps = settings.epoch_steps or per_pass
        else:
            steps = math.ceil(examples / settings.batch_size)
        optimizers.learning_rate(settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=steps)
    except UserError as error:
        raise UserError(f"{section}.{error}") from error


def encoded_corpus(chosen: Chosen, path: Path = paths.FEATURES / "task.json") -> Any:
    """The task of the text that preprocess has encoded; None where it has not, or its settings have changed."""
    if not path.exists():
        return None
    task: Any = tasks.read(chosen.dataset.settings.model_dump(), chosen.file.dataset, path)
    return task if task.inputs.settings == chosen.dataset.preprocessing else None


def prepared_examples(dataset: Dataset) -> int:
    """The number of training examples; 0 where it is not known, because prepare has not run since the data or its
    settings changed.
    """
    report = paths.PREPARED / "report.json"
    try:
        content, made = strict_json.read(report), report.stat().st_mtime
        source = Path(content["data"]["source"])
        if content["data"] != dataset.data.model_dump(mode="json", exclude_none=True):
            return 0
        changed = max(at.stat().st_ctime for at in (source, *source.rglob("*")))
        return content["splits"]["train"]["examples"] if changed < made else 0
    except (UserError, OSError, KeyError, TypeError):
        return 0
