"""Writes the part of a package that follows from a trained model and today's code: the functions, the weights, their
description, and the code that runs them. The package stage and `repackage` add what they have of data and figures.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.task import Task
from pipeline.models import weights
from pipeline.packaging import requirements, sbom, signature
from pipeline.runtime import package, strict_json

CONTAINERFILE = Path(__file__).with_name("Containerfile")


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
    if (explanations := task.export_explanations(predictor, tree)) is not None:
        (folder / "explain.jaxexp").write_bytes(explanations)
    weights.write(folder / "model.safetensors", tree)
    config: dict[str, Any] = {"task": task.name, **trained.names, "network": network.model_dump()}
    strict_json.write(folder / "config.json", config | task.configuration())
    _copy_runtime(folder / "runtime")


def describe(folder: Path, trained: Trained, *, source: str, data: Mapping[str, str]) -> None:
    """The signature, the requirements and the bill of materials of a package whose functions, weights and labels are
    there. `data` has the sha256 of each file that the model was trained on.
    """
    names, kind = trained.names, trained.task.inputs.kind
    of_task = trained.task.signature(trained.predictor, trained.tree, trained.network)
    signature.write(folder, f"{names['dataset']}-{names['model']}", of_task)
    needed = requirements.names(kind, signature.engines(folder)[0])
    requirements.write(folder / requirements.FILE, needed)
    if (folder / "explain.jaxexp").exists():
        requirements.write(folder / requirements.FOR_EXPLANATIONS, [*needed, *requirements.ENGINES["jax"]])
    shutil.copyfile(CONTAINERFILE, folder / CONTAINERFILE.name)
    sbom.write(folder, **names, source=source, data=data)


def _copy_runtime(folder: Path) -> None:
    """The code that encodes raw inputs and runs the model: in use it is the very code of preprocessing."""
    source = Path(package.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder, ignore=ignore, copy_function=shutil.copyfile)
