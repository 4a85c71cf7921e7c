"""Loads a package as a stranger would and compares what it says with what evaluate wrote down.

python -m pipeline selftest package data/features/test evaluation/test.parquet
"""

import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from pipeline.runtime import strict_json
from pipeline.runtime.classifier import Arrays, Classifier, writes
from pipeline.runtime.errors import UserError
from pipeline.runtime.generator import Generator

TOLERANCE = 1e-5  # of a probability
ROUNDED = 1e-4  # of one in sample/expected.json
NATS = 1e-3  # of a token's loss: logits are sums of hundreds of products
ROUGH, ROUGH_MEAN = 0.5, 1e-2  # where numbers are rounded before they are multiplied; and of the mean token
READ = 4_096  # tokens of the test split
TRAINING = ("flax", "optax", "pipeline.learner", "pipeline.models", "pipeline.training")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline selftest", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument("features", type=Path, help="folder with the test split's arrays")
    parser.add_argument("predictions", type=Path, help="evaluate's predictions on that split")
    arguments = parser.parse_args()
    if writes(arguments.package):
        compare_readings(Generator(arguments.package), arguments)
        return
    package = Classifier(arguments.package)
    table = pd.read_parquet(arguments.predictions)
    found = package.probabilities(examples(package, arguments.features))
    if package.task == "sequence-tagging":
        rows = np.concatenate(found)
        number = {label: i for i, label in enumerate(package.labels)}
        said = np.array([number[label] for label in table["prediction"]])
        off = np.abs(rows[np.arange(len(rows)), said] - table["probability"].to_numpy())
    else:
        expected = table[[f"probability of {label}" for label in package.labels]].to_numpy()
        off = np.abs(np.stack(found) - expected)
    worst = float(off.max())
    if not worst <= TOLERANCE:  # a NaN is not small either
        raise UserError(f"{arguments.package}: its predictions are up to {worst:.2g} off evaluate's: do not use it")
    try_samples(package, arguments.package / "sample")
    refuse_training_code()
    print(f"{arguments.package}: {len(found):,} predictions equal evaluate's to {worst:.1g}, without training code")


def refuse_training_code() -> None:
    if loaded := [name for name in TRAINING if name in sys.modules]:
        raise UserError(f"the package runtime loaded training code: {', '.join(loaded)}")


def compare_readings(model: Generator, arguments: argparse.Namespace) -> None:
    """Reads the test split from its beginning, at most some thousand tokens of it, and the samples."""
    table = pd.read_parquet(arguments.predictions, columns=["place", "token", "loss"])
    place, token, loss = (table[name].to_numpy() for name in table)
    starts = np.load(arguments.features / "starts.npy")
    # A GPU multiplies numbers of float32 as TF32, of 11 bits.
    rough = jax.default_backend() == "gpu" or model.config["network"].get("precision") == "bfloat16"
    most, most_of_mean = (ROUGH, ROUGH_MEAN) if rough else (NATS, NATS)
    worst, total, done = 0.0, 0.0, 0
    for start, end in zip(starts, starts[1:]):
        if done >= READ:
            break
        of_it = np.flatnonzero((place > start) & (place < end))
        # The windows at a document's end lie elsewhere when it is cut: what is compared ends well before.
        kept = of_it if len(of_it) <= READ - done else of_it[: READ - done + 2 * model.context]
        found = model.surprise(token[kept])[: READ - done]
        off = np.abs(found - loss[kept[: len(found)]])
        worst, total, done = max(worst, float(off.max(initial=0.0))), total + float(off.sum()), done + len(found)
    mean = total / max(done, 1)
    if not (worst <= most and mean <= most_of_mean):  # a NaN is not small either
        raise UserError(
            f"{arguments.package}: its losses are up to {worst:.2g} nats off evaluate's, {mean:.2g} on average: "
            "do not use it"
        )
    for sample in strict_json.read(arguments.package / "sample" / "expected.json")["samples"]:
        tokens = model.alphabet.numbers(sample["text"])
        nats = float(model.surprise(tokens).sum())
        if len(tokens) != sample["tokens"] or abs(nats - sample["nats"]) > most_of_mean * len(tokens):
            raise UserError(f"{arguments.package}: a sample has {nats:.3f} nats, not {sample['nats']}: do not use it")
    refuse_training_code()
    print(f"{arguments.package}: {done:,} tokens' losses equal evaluate's to {worst:.1g} nats, without training code")


def examples(package: Classifier, folder: Path) -> list[Arrays]:
    """The test split's arrays, example by example."""
    arrays = [np.load(folder / f"{given['name']}.npy", mmap_mode="r") for given in package.config["inputs"]]
    types = [given["dtype"] for given in package.config["inputs"]]
    if package.task == "image-classification":
        return [(image,) for image in arrays[0]]
    starts = np.load(folder / "starts.npy")
    return [
        tuple(array[start:end].astype(kind) for array, kind in zip(arrays, types))
        for start, end in zip(starts, starts[1:])
    ]


def try_samples(package: Classifier, folder: Path) -> None:
    """Raises UserError where a raw input is not answered as it was when the package was made."""
    for sample in strict_json.read(folder / "expected.json")["samples"]:
        match package.task:
            case "image-classification":
                arrays = package.image((folder / sample["file"]).read_bytes(), sample["file"])
            case "text-classification":
                arrays = package.text(sample["text"], "a sample")
            case _:
                arrays = package.sentence(sample["words"], "a sample")
        rows = np.atleast_2d(package.probabilities([arrays])[0])
        likely = [round(float(x), 4) for x in rows.max(-1)]
        labels = [package.labels[i] for i in rows.argmax(-1)]
        close = np.allclose(likely, sample["probabilities"], atol=ROUNDED, rtol=0)
        if labels != sample["labels"] or not close:
            raise UserError(f"{folder}: {sample} is answered by {labels}, {likely}: do not use the package")
