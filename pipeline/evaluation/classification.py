"""The evaluation of one label an example, on one test split: tables, metrics, plots, mistakes."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import paths
from pipeline.evaluation import metrics, mistakes, plots
from pipeline.evaluation.mistakes import Predictions
from pipeline.evaluation.predictor import Predictor, Tree, predict
from pipeline.loaders import buckets
from pipeline.tasks import ImageClassification, TextClassification

PRINTED = 30  # classes in the printed table, at most


def evaluate(
    split: str, predictor: Predictor, tree: Tree, task: ImageClassification | TextClassification
) -> dict[str, Any]:
    """Writes the split's tables and, of the main test split, the plots and the mistakes; returns its metrics. The
    baseline always predicts the most frequent label of the training split.
    """
    test = buckets.load(paths.features(split), task)
    probabilities = metrics.probabilities(predict(predictor, tree["params"], tree["model_state"], test))
    predictions = Predictions(test, probabilities, task.labels)
    targets, guesses = predictions.targets, predictions.guesses
    write_table(split, predictions)
    by_class = metrics.per_class(probabilities, targets, task.labels)
    by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
    results = metrics.classification(probabilities, targets)
    if len(task.labels) <= PRINTED:
        print(by_class.to_string(index=False, float_format="{:.3f}".format))
    print_summary(split, results)
    if split == "test":
        plots.write_confusion(targets, guesses, task.labels, errors_only=False)
        plots.write_calibration(probabilities.max(-1), guesses == targets)
        write = mistakes.write_images if isinstance(task, ImageClassification) else mistakes.write_texts
        write(predictor, tree, predictions)
    baseline = float((targets == int(np.argmax(task.counts))).mean())
    return {"examples": len(targets), "baseline_accuracy": baseline, **results}


def write_table(split: str, predictions: Predictions) -> None:
    """A row an example, in the order of the split: its id, label, prediction, and each label's probability."""
    names = np.array(predictions.labels)
    columns = {
        "id": np.load(paths.features(split) / "ids.npy").astype(str),
        "label": names[predictions.targets],
        "prediction": names[predictions.guesses],
    }
    columns |= {f"probability of {name}": predictions.probabilities[:, i] for i, name in enumerate(names)}
    table = pd.DataFrame(columns)
    table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)


def print_summary(split: str, results: dict[str, Any]) -> None:
    accuracy, low, high = (results[name] for name in ("accuracy", "accuracy_low", "accuracy_high"))
    print(f"{split} accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), loss {results['loss']:.4f}")
