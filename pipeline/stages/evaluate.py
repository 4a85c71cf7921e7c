"""Stage 4: the metrics of the trained model on the test splits, which no earlier stage has looked at."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd

from pipeline.config import paths
from pipeline.config.networks import LanguageModelConfig, Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation import classification, language_model, plots, tagging
from pipeline.evaluation.predictor import Predictor, Tree, load
from pipeline.runtime import strict_json
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import LanguageModelling, SequenceTagging, Task


class Params(StageParams):
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    predictor, task, tree = load(params.network)
    shutil.rmtree(paths.IMAGES, ignore_errors=True)
    paths.EVALUATION.mkdir(exist_ok=True)
    splits = [split for split in paths.TESTS if (paths.features(split) / "ids.npy").exists()]
    strict_json.write(
        paths.EVALUATE_METRICS, {split: evaluate(split, params, predictor, task, tree) for split in splits}
    )
    strict_json.write(paths.EVALUATION / "provenance.json", provenance.record(inputs, params))
    record_machines()
    copy_training_results()


def evaluate(split: str, params: Params, predictor: Predictor, task: Task, tree: Tree) -> dict[str, Any]:
    """The metrics of one test split; its tables, plots and pages are written."""
    match task:
        case LanguageModelling():
            network = cast(LanguageModelConfig, params.network)  # `check` refuses any other for this task
            return language_model.evaluate(split, predictor, tree, task, network.context)
        case SequenceTagging():
            return tagging.evaluate(split, predictor, tree, task)
        case _:
            return classification.evaluate(split, predictor, tree, task)


def record_machines() -> None:
    """Writes which machines trained and evaluated the model. What the file, or the last commit, records for these very
    weights stays: the same model made on another machine, or restored after an experiment, changes nothing.
    """
    weights = sha256(paths.TRAINED / "weights.safetensors")
    for text in (_content(paths.MACHINES), _committed(paths.MACHINES)):
        recorded = _mapping(text)
        if recorded.get("weights") == weights and recorded.keys() >= {"train", "evaluate"}:
            paths.MACHINES.write_bytes(text)
            return
    trained_on = _mapping(_content(paths.TRAINED_ON))
    train = trained_on.get("machine", {}) if trained_on.get("weights") == weights else {}
    strict_json.write(paths.MACHINES, {"weights": weights, "train": train, "evaluate": provenance.machine()})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _committed(path: Path) -> bytes:
    """The file in the last commit; nothing where there is none."""
    try:
        return subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True).stdout
    except OSError:  # git is not installed
        return b""


def _mapping(text: bytes) -> dict[str, Any]:
    """The mapping that a JSON text holds; nothing where it is damaged or holds something else: no result depends on
    it.
    """
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def copy_training_results() -> None:
    """Train's metrics and curves, small and in git, so that a clone has them without a remote. Train itself may not
    write them there: DVC never restores a stage from its run cache that has outputs outside the cache.
    """
    paths.HISTORY.parent.mkdir(exist_ok=True)
    shutil.copyfile(paths.TRAINED / "history.csv", paths.HISTORY)
    shutil.copyfile(paths.TRAINED / "metrics.json", paths.TRAIN_METRICS)
    plots.save(plots.curves(pd.read_csv(paths.HISTORY)), paths.IMAGES / "curves.png")
