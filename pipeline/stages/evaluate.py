"""Stage 4: the metrics of the trained model on the test splits, which no earlier stage has looked at."""

import shutil
from typing import Annotated, Any, cast

import pandas as pd

from pipeline.config import paths
from pipeline.config.networks import LanguageModelConfig, Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation import classification, language_model, plots, tagging
from pipeline.evaluation.predictor import Predictor, Tree, load
from pipeline.runtime import strict_json
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
    provenance.record_machines()
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


def copy_training_results() -> None:
    """Train's metrics and curves, small and in git, so that a clone has them without a remote. Train itself may not
    write them there: DVC never restores a stage from its run cache that has outputs outside the cache.
    """
    paths.HISTORY.parent.mkdir(exist_ok=True)
    shutil.copyfile(paths.TRAINED / "history.csv", paths.HISTORY)
    shutil.copyfile(paths.TRAINED / "metrics.json", paths.TRAIN_METRICS)
    plots.save(plots.curves(pd.read_csv(paths.HISTORY)), paths.IMAGES / "curves.png")
