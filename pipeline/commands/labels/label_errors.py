"""Which labels of the training split are likely wrong, by models that have not seen them:

    python -m pipeline label-errors --folds 5

The training split is dealt into folds; for each, a model is trained on the others as params.yaml says, and answers the
examples of that fold. Near-duplicates share a fold. It takes as long as that many trainings; an interrupted one starts
again. DVC's outputs stay as they are: all is done in a temporary folder.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float, Int
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from pipeline import tasks
from pipeline.config import paths
from pipeline.evaluation.failures import label_errors
from pipeline.evaluation.predictor import predict, restore
from pipeline.examples.batch import Examples
from pipeline.examples.task import Task
from pipeline.loaders import buckets
from pipeline.readers import Example, keys
from pipeline.runtime.errors import UserError
from pipeline.stages.evaluate import Params

CODE = ("pipeline", "params.yaml", "versions.yaml", "dvc.yaml")  # what the train stage reads beside its data
ALSO = ("task.json", "encoder", "validation")  # and of the features, beside the training split
SEED = 0  # of the folds


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline label-errors",
        description="Ranks the training labels that are likely wrong, as a CSV file.",
    )
    parser.add_argument("--folds", type=int, default=5, help="models to train (default 5)")
    parser.add_argument(
        "--out", type=Path, default=Path("label_errors.csv"), help="the file (default label_errors.csv)"
    )
    arguments = parser.parse_args()
    if arguments.folds < 2:
        raise UserError("--folds: at least 2")
    if arguments.out.is_dir() or not arguments.out.parent.is_dir():
        raise UserError(f"--out: {arguments.out} cannot be written: name a file in a folder that exists")
    for path in (paths.FEATURES / "task.json", paths.prepared("train")):
        if not path.exists():
            raise UserError(f"{path}: no such file: run `dvc repro preprocess` first")
    params = Params.load()
    task = tasks.read(params.task, params.dataset)
    if task.labels_are is None:
        raise UserError(f"{params.dataset}: its texts have no labels that could be wrong")
    doubts = task.doubts("train", out_of_sample(task, params, arguments.folds))
    label_errors.to_csv("train", doubts, arguments.out)
    answers = len(np.load(paths.features("train") / "targets.npy"))
    print(f"{arguments.out}: {len(doubts):,} of {answers:,} training labels are doubtful, the most doubtful first")


def out_of_sample(task: Task, params: Params, folds: int) -> Float[np.ndarray, "n k"]:
    """The outputs for every target of the training split, each by a model that was trained without its example."""
    whole = buckets.load(paths.features("train"), task.inputs)
    number = assigned(task, whole, folds)
    found = np.zeros((len(whole.targets), task.outputs), np.float32)
    for fold in range(folds):
        print(f"fold {fold + 1} of {folds}", flush=True)
        with TemporaryDirectory(prefix="label-errors-") as folder:
            train(Path(folder), taken(whole, np.flatnonzero(number != fold)))
            predictor, tree = restore(params.network, task, Path(folder) / paths.TRAINED / "weights.safetensors")
        held_out = np.flatnonzero(number == fold)
        examples = task.inputs.as_in_use(taken(whole, held_out))
        found[places(whole, held_out)] = predict(predictor, tree["params"], tree["model_state"], examples)
    return found


def assigned(task: Task, whole: Examples, folds: int) -> Int[np.ndarray, " e"]:
    """The fold of each row of the training arrays. Classes are spread evenly; near-duplicates, and the parts of a long
    sentence, stay together.
    """
    near_keys, content = [], pq.read_schema(paths.prepared("train")).names[1]
    for batch in pq.ParquetFile(paths.prepared("train")).iter_batches(1_000, columns=[content]):
        for value in batch.column(0).to_pylist():
            near_keys.append(keys.of(Example("", tuple(value) if isinstance(value, list) else value, "")).near_key)
    sentences = paths.features("train") / "sentences.npy"
    if sentences.exists():
        rows = np.searchsorted(np.load(sentences), np.asarray(whole.starts)[:-1], side="right") - 1
        near_keys = [near_keys[row] for row in rows]
    groups = np.unique(np.array(near_keys, "S24"), return_inverse=True)[1]
    if len(np.unique(groups)) < folds:
        raise UserError(f"--folds: {folds} are more than the {len(np.unique(groups)):,} different training examples")
    targets = np.asarray(whole.targets)
    is_class = np.issubdtype(targets.dtype, np.integer) and targets.shape == (len(near_keys),)  # one for each example
    maker: Any = StratifiedGroupKFold if is_class else GroupKFold
    number = np.zeros(len(near_keys), int)
    parts = maker(folds, shuffle=True, random_state=SEED).split(near_keys, targets if is_class else None, groups)
    for fold, (_, rows) in enumerate(parts):
        number[rows] = fold
    return number


def taken(whole: Examples, rows: Int[np.ndarray, " r"]) -> Examples:
    """Some of the examples."""
    of = rows if whole.starts is None else spans(whole, rows)
    inputs: dict[str, Any] = {name: np.asarray(array[of]) for name, array in whole.inputs.items()}
    starts = None
    if whole.starts is not None:
        sizes = np.diff(np.asarray(whole.starts))[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.asarray(whole.starts).dtype)
    return Examples(inputs, np.asarray(whole.targets)[places(whole, rows)], starts)


def spans(whole: Examples, rows: Int[np.ndarray, " r"]) -> Int[np.ndarray, " p"]:
    """Where the tokens of these examples are."""
    starts = np.asarray(whole.starts).tolist()
    return np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows.tolist()])


def places(whole: Examples, rows: Int[np.ndarray, " r"]) -> Int[np.ndarray, " p"]:
    """Where the targets of these examples are: one for each, or one for each of its words."""
    if whole.starts is None or len(whole.targets) == len(whole.starts) - 1:
        return rows
    return spans(whole, rows)


def train(folder: Path, examples: Examples) -> None:
    """Runs the train stage in `folder` on these examples. Raises UserError where it fails."""
    for name in CODE:
        (folder / name).symlink_to(Path(name).resolve())
    features = folder / paths.FEATURES
    (features / "train").mkdir(parents=True)
    for name in ALSO:
        (features / name).symlink_to((paths.FEATURES / name).resolve())
    arrays = {**examples.inputs, "targets": examples.targets}
    if examples.starts is not None:
        arrays["starts"] = examples.starts
    for name, array in arrays.items():
        np.save(features / "train" / f"{name}.npy", np.asarray(array))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    code = subprocess.run([sys.executable, "-m", "pipeline", "train"], cwd=folder, env=environment).returncode
    if code:
        raise UserError(f"training a fold failed with exit status {code}: see its message above")
