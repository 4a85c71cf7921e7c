"""Stage 4: what the trained model is worth on the test split, which nothing before has looked at."""

import shutil
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.special
from jaxtyping import Float

from pipeline import batches, check, draw, errors, explain, learner, metrics, paths, provenance, strict_json
from pipeline import params as yaml
from pipeline.batches import Examples
from pipeline.learner import Learner
from pipeline.models import CONFIGS
from pipeline.params import Key, StageParams
from pipeline.tasks import Task

SHOWN = 18  # mistakes in the picture


class Params(StageParams):
    model: Annotated[str, Key("model")]
    network: Annotated[dict[str, Any], Key("models.{model}.network")]


def main() -> None:
    check.params()
    params = Params.load()
    task = yaml.validate(Task, strict_json.read(paths.FEATURES / "task.json"), paths.FEATURES / "task.json")
    config = yaml.validate(CONFIGS[params.model], params.network, under=f"models.{params.model}.network")
    learn, tree = learner.restore(config, task, paths.MODEL / "weights.safetensors")
    test = batches.load(paths.FEATURES / "test")
    ids = np.load(paths.FEATURES / "test" / "ids.npy")

    logits = learner.predict(learn, tree["params"], tree["rest"], test.inputs)
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)  # n k
    guesses = probabilities.argmax(-1)

    figures = metrics.classification(probabilities, test.targets)
    strict_json.write(paths.EVALUATE_METRICS, {"test": {"examples": len(guesses), **figures}})
    names = np.array(task.labels)
    paths.EVALUATION.mkdir(exist_ok=True)
    table(ids, names, test, probabilities).to_parquet(paths.EVALUATION / "predictions.parquet", index=False)
    by_class = metrics.per_class(probabilities, test.targets, task.labels)
    by_class.to_csv(paths.EVALUATION / "per_class.csv", index=False, lineterminator="\n")
    strict_json.write(
        paths.EVALUATION / "provenance.json",
        provenance.record("evaluate", [paths.FEATURES / "test" / "inputs.npy"], params, model=params.model),
    )

    pairs = pd.DataFrame({"actual": names[test.targets], "predicted": names[guesses]})
    paths.CONFUSION.parent.mkdir(exist_ok=True)
    pairs.to_csv(paths.CONFUSION, index=False, lineterminator="\n")
    bins = metrics.calibration(probabilities.max(-1), guesses == test.targets)
    bins.to_csv(paths.CALIBRATION, index=False, lineterminator="\n")
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (test.targets, guesses), 1)
    draw.save(draw.confusion(counts, task.labels), paths.IMAGES / "confusion.png")
    draw.save(draw.calibration(bins), paths.IMAGES / "calibration.png")
    # Small and in git, so that a clone has them without a remote. Train itself may not write them: DVC never
    # restores a stage from its run cache that has outputs outside the cache.
    shutil.copyfile(paths.MODEL / "history.csv", paths.HISTORY)
    shutil.copyfile(paths.MODEL / "metrics.json", paths.TRAIN_METRICS)
    draw.save(draw.curves(pd.read_csv(paths.HISTORY)), paths.IMAGES / "curves.png")
    draw_mistakes(learn, tree, test, probabilities, names)

    print(by_class.to_string(index=False, float_format="{:.3f}".format))
    accuracy, low, high = (figures[name] for name in ("accuracy", "accuracy_low", "accuracy_high"))
    print(f"test accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), loss {figures['loss']:.4f}")


def table(ids: np.ndarray, names: np.ndarray, test: Examples, probabilities: Float[np.ndarray, "n k"]) -> pd.DataFrame:
    """A row an example: id, label, prediction, and the probability of each class."""
    columns = {"id": ids.astype(str), "label": names[test.targets], "prediction": names[probabilities.argmax(-1)]}
    return pd.DataFrame(columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)})


def draw_mistakes(
    learn: Learner, tree: dict[str, Any], test: Examples, probabilities: Float[np.ndarray, "n k"], names: np.ndarray
) -> None:
    """The mistakes that the model was surest of, each with the pixels that led it there."""
    guesses = probabilities.argmax(-1)
    wrong = np.flatnonzero(guesses != test.targets)
    worst = wrong[np.argsort(-probabilities[wrong].max(-1), kind="stable")][:SHOWN]
    if not len(worst):
        return
    images = np.asarray(test.inputs[worst])
    pixels, _ = explain.integrated_gradients(
        learn, tree["params"], tree["rest"], jnp.asarray(images, jnp.float32), jnp.asarray(guesses[worst])
    )
    titles = [f"{names[guesses[i]]} {probabilities[i].max():.2f}\n(is {names[test.targets[i]]})" for i in worst]
    draw.save(draw.explained(images, np.asarray(pixels), titles), paths.IMAGES / "mistakes.png")


if __name__ == "__main__":
    errors.run(main)
