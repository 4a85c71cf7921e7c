"""Checks the whole of params.yaml before a stage computes anything: every section, and whether the chosen ones fit.

It only refuses; nothing that it reads enters a result. By hand: `python -m pipeline check`.
"""

from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.config.networks import NETWORKS, Network
from pipeline.config.section import Section, validate
from pipeline.config.training import TrainingSection
from pipeline.runtime.errors import UserError
from pipeline.tasks import dataset
from pipeline.tasks.dataset import Dataset


class File(Section):
    dataset: str
    model: str
    seed: NonNegativeInt
    datasets: dict[str, Any]
    models: dict[str, Any]


class Model(Section):
    network: Network
    training: TrainingSection


def params(path: Path = paths.PARAMS) -> tuple[File, Dataset, Model]:
    """The file, and the sections that it chooses. Raises UserError with one line for the first mistake in it."""
    file = validate(File, yaml.read(path), path)
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
    return file, datasets[file.dataset], models[file.model]
