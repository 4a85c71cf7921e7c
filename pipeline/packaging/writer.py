"""Writes the part of a package that follows from a trained model and today's code: the function, the weights, their
description, and the code that runs them. The package stage and `repackage` add what they have of data and figures.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import jax

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.task import Task
from pipeline.models import weights
from pipeline.runtime import package, strict_json


@dataclass(frozen=True)
class Trained:
    """A trained model, and the names under which params.yaml has it."""

    task: Task
    network: NetworkSettings
    predictor: Predictor
    tree: Tree
    names: dict[str, str]  # of the model and the dataset


def write_model(folder: Path, trained: Trained) -> None:
    """Into `folder`, which exists. The same model gives the same bytes."""
    task, network, predictor, tree = trained.task, trained.network, trained.predictor, trained.tree
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the function contains this machine's file names
    (folder / "model.jaxexp").write_bytes(task.export(predictor, tree, network))
    weights.write(folder / "model.safetensors", tree)
    config = {"network": network.model_dump(), **task.configuration(predictor, tree, network)}
    strict_json.write(folder / "config.json", {"task": task.name, **trained.names, **config})
    _copy_runtime(folder / "runtime")


def _copy_runtime(folder: Path) -> None:
    """The code that encodes raw inputs and runs the model: in use it is the very code of preprocessing."""
    source = Path(package.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder, ignore=ignore, copy_function=shutil.copyfile)
