"""The evaluation of one tag a word, on one test split: tables, metrics, plots, mistakes."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from pipeline.config import paths
from pipeline.evaluation import metrics, mistakes, plots
from pipeline.evaluation.classification import print_summary
from pipeline.evaluation.mistakes import Predictions
from pipeline.evaluation.predictor import Predictor, Tree, predict
from pipeline.loaders import buckets
from pipeline.tasks import SequenceTagging


def evaluate(split: str, predictor: Predictor, tree: Tree, task: SequenceTagging) -> dict[str, Any]:
    """Writes the split's tables and, of the main test split, the plots and the mistakes; returns its metrics. The
    baseline gives each word the tag that it has most often in the training split.
    """
    test = buckets.load(paths.features(split), task)
    probabilities = metrics.probabilities(predict(predictor, tree["params"], tree["model_state"], test))
    labels, starts = labels_of(split, task), np.asarray(test.starts)
    predictions = Predictions(test, probabilities, labels)
    targets = predictions.targets
    baseline = np.load(paths.features(split) / "baseline.npy")
    write_table(split, predictions, baseline)
    by_class = metrics.per_class(probabilities, targets, labels)
    by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
    results = metrics.tagging(probabilities, targets, starts, baseline, labels)
    print_summary(split, results)
    print_details(split, results)
    if split == "test":
        plots.write_confusion(targets, predictions.guesses, labels, errors_only=True)
        plots.write_calibration(probabilities.max(-1), predictions.guesses == targets)
        mistakes.write_words(task, predictions)
    guesses = np.where(baseline < 0, int(np.argmax(task.counts)), baseline)
    return {"examples": len(test), "baseline_accuracy": float((targets == guesses).mean()), **results}


def labels_of(split: str, task: SequenceTagging) -> tuple[str, ...]:
    """The labels by their numbers in a split's targets: the model's, then those that the training split lacks."""
    unseen = np.load(paths.features(split) / "unseen_tags.npy", allow_pickle=False)
    return (*task.labels, *unseen.tolist())


def write_table(split: str, predictions: Predictions, baseline: Int[np.ndarray, " n"]) -> None:
    """A row a word, in the order of the split: its sentence's id, its place there, label, prediction and the
    prediction's probability, and whether training lacks the word.
    """
    names, sizes = np.array(predictions.labels), np.diff(np.asarray(predictions.test.starts))
    table = pd.DataFrame(
        {
            "id": np.repeat(np.load(paths.features(split) / "ids.npy").astype(str), sizes),
            "place": np.concatenate([np.arange(size) for size in sizes]),
            "label": names[predictions.targets],
            "prediction": names[predictions.guesses],
            "probability": predictions.probabilities.max(-1),
            "unseen": baseline < 0,
        }
    )
    table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)


def print_details(split: str, results: dict[str, Any]) -> None:
    unseen = results["unseen"]
    parts = []
    if "accuracy" in unseen:
        parts.append(f"{unseen['accuracy']:.4f} on the {unseen['words']:,} words that training lacks")
    if "spans" in results:
        parts.append(f"F1 of spans {results['spans']['f1']:.4f}")
    if count := results["words_with_unseen_tags"]:
        parts.append(f"{count:,} words have a tag that training lacks: errors, and no part of the loss")
    if parts:
        print(f"{split}: {'; '.join(parts)}")
