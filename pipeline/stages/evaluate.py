"""Stage 4: the metrics of the trained model on the test splits, which no earlier stage has looked at."""

import shutil
from typing import Annotated, Any

import pandas as pd

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.evaluation import EvaluationSettings
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation import plots
from pipeline.evaluation.explanations import faithfulness
from pipeline.evaluation.failures import tables
from pipeline.evaluation.predictor import restore
from pipeline.evaluation.report import page
from pipeline.runtime import strict_json
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs

TABLES = {
    paths.CONFUSION: "actual,predicted",
    paths.CALIBRATION: "confidence,accuracy,examples",
    paths.COVERAGE: "coverage,accuracy",
    paths.ROC: "false_positive_rate,true_positive_rate",
    paths.PRECISION_RECALL: "recall,precision",
    paths.PREDICTED: "actual,predicted",
}


class Params(StageParams):
    dataset: Annotated[str, Key("dataset")]
    task: Annotated[dict[str, Any], Key("datasets.{dataset}.task")]
    evaluation: Annotated[EvaluationSettings, Key("evaluation")]
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    task = tasks.read(params.task, inputs.dataset)
    predictor, tree = restore(params.network, task)
    for folder in (paths.EVALUATION, paths.IMAGES, paths.TABLES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for path, columns in TABLES.items():  # DVC looks for each plot of dvc.yaml, and some tasks have no use for it
        path.write_text(f"{columns}\n", encoding="utf-8")
    splits = [split for split in paths.TESTS if (paths.features(split) / "ids.npy").exists()]
    task = task.calibrate(predictor, tree, params.evaluation)
    figures = {split: task.evaluate(split, predictor, tree, params.network) for split in splits}
    strict_json.write(paths.DETAILS, figures)
    strict_json.write(paths.EVALUATE_METRICS, {split: task.headline_metrics(some) for split, some in figures.items()})
    faithfulness.write(predictor, tree, params.network)
    failures = {split: tables.write(split, task.outcomes(split)) for split in splits}
    record = provenance.record(inputs, params)
    strict_json.write(paths.EVALUATION / "provenance.json", record)
    provenance.record_machines()
    copy_training_results(task.metric)
    page.write(page.Run(params.dataset, params.model, predictor, tree, params.network, figures, failures, record))
    print(f"{page.REPORT}: all of this as a page, to open in a browser")


def copy_training_results(metric: str) -> None:
    """Train's metrics and curves, small and in git, so that a clone has them without a remote. Train itself may not
    write them there: DVC never restores a stage from its run cache that has outputs outside the cache.
    """
    paths.HISTORY.parent.mkdir(exist_ok=True)
    shutil.copyfile(paths.TRAINED / "history.csv", paths.HISTORY)
    shutil.copyfile(paths.TRAINED / "metrics.json", paths.TRAIN_METRICS)
    plots.save(plots.curves(pd.read_csv(paths.HISTORY), metric), paths.IMAGES / "curves.png")
