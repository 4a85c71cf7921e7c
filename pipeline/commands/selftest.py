"""Runs a package by its own runtime code and compares its predictions with evaluate's.

python -m pipeline selftest package data/features/test evaluation/test.parquet
"""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from pipeline.runtime import package, strict_json, tasks
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest, signatures

TOLERANCE = 1e-5  # of a probability
SAMPLE_TOLERANCE = 1e-4  # of a number in sample/expected.json, as a share of it where that is above 1
NATS = 1e-3  # of a token's loss: logits are sums of hundreds of products
LOW_PRECISION_NATS, LOW_PRECISION_MEAN = 0.5, 1e-2  # of one token's loss, and of the mean, where products are rounded
MAX_TOKENS = 4_096  # of the test split
NOT_NEEDED = ("flax", "optax", "pydantic", "pipeline.layers", "pipeline.models", "pipeline.training")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline selftest", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument("features", type=Path, help="folder with the test split's arrays")
    parser.add_argument("predictions", type=Path, help="evaluate's predictions on that split")
    parser.add_argument(
        "--require-key", type=Path, metavar="PUB.PEM", help="the package must be signed by the owner of this public key"
    )
    arguments = parser.parse_args()
    signatures.require(arguments.package, arguments.require_key)
    manifest.verify(arguments.package)  # before its code runs
    sys.dont_write_bytecode = True  # the package stays as it is
    sys.pycache_prefix = os.devnull  # and what lies compiled in it, which its manifest leaves out, is not run
    sys.path.insert(0, str(arguments.package.resolve()))
    check = check_generator if tasks.generates(package.task_of(arguments.package)) else check_predictor
    try:
        summary = check(arguments)
    except importlib.import_module("runtime.errors").UserError as error:
        raise UserError(str(error)) from error
    if loaded := [name for name in NOT_NEEDED if name in sys.modules]:
        raise UserError(f"{arguments.package}: its runtime loaded what it should not need: {', '.join(loaded)}")
    print(f"{arguments.package}: {summary}, without training code")


def check_predictor(arguments: argparse.Namespace) -> str:
    """Compares every test example and the samples; returns a summary. Raises UserError."""
    predictor = importlib.import_module("runtime.predictor").Predictor(arguments.package)
    table = pd.read_parquet(arguments.predictions)
    outputs = predictor.outputs(examples(predictor, arguments.features))
    worst = float(predictor.task.deviations(outputs, table).max())
    if not worst <= TOLERANCE:  # also refuses a NaN
        raise UserError(f"{arguments.package}: its predictions are up to {worst:.2g} off evaluate's: do not use it")
    check_samples(predictor, arguments.package / "sample")
    return f"{len(outputs):,} predictions equal evaluate's to {worst:.1g}"


def check_generator(arguments: argparse.Namespace) -> str:
    """Compares the losses of the test split's first tokens and of the samples; returns a summary. Raises UserError."""
    generator = importlib.import_module("runtime.generator").Generator(arguments.package)
    table = pd.read_parquet(arguments.predictions, columns=["place", "token", "loss"])
    place, token, loss = (table[name].to_numpy() for name in table)
    starts = np.load(arguments.features / "starts.npy")
    # A GPU multiplies float32 numbers as TF32, with 11 bits.
    rounds = jax.default_backend() == "gpu" or generator.config["network"].get("precision") == "bfloat16"
    max_error, max_mean = (LOW_PRECISION_NATS, LOW_PRECISION_MEAN) if rounds else (NATS, NATS)
    worst, total, done = 0.0, 0.0, 0
    for start, end in zip(starts, starts[1:]):
        if done >= MAX_TOKENS:
            break
        rows = np.flatnonzero((place > start) & (place < end))
        # A document that is cut short has other windows near its end: the compared tokens end well before that.
        kept = rows if len(rows) <= MAX_TOKENS - done else rows[: MAX_TOKENS - done + 2 * generator.context]
        losses = generator.token_losses(token[kept])[: MAX_TOKENS - done]
        errors = np.abs(losses - loss[kept[: len(losses)]])
        worst = max(worst, float(errors.max(initial=0.0)))
        total, done = total + float(errors.sum()), done + len(losses)
    mean = total / max(done, 1)
    if not (worst <= max_error and mean <= max_mean):  # also refuses a NaN
        raise UserError(
            f"{arguments.package}: its losses are up to {worst:.2g} nats off evaluate's, {mean:.2g} on average: "
            "do not use it"
        )
    check_texts(generator, arguments.package / "sample", max_mean)
    return f"{done:,} tokens' losses equal evaluate's to {worst:.1g} nats"


def examples(predictor: Any, folder: Path) -> list[tuple[np.ndarray, ...]]:
    """The test split's arrays, example by example."""
    arrays = [np.load(folder / f"{given['name']}.npy", mmap_mode="r") for given in predictor.config["inputs"]]
    types = [given["dtype"] for given in predictor.config["inputs"]]
    index = folder / "starts.npy"
    if not index.exists():  # all of one shape
        return list(zip(*arrays))
    starts = np.load(index)
    return [
        tuple(array[start:end].astype(kind) for array, kind in zip(arrays, types))
        for start, end in zip(starts, starts[1:])
    ]


def check_samples(predictor: Any, folder: Path) -> None:
    """Raises UserError if a raw input is not answered as evaluate answered it."""
    for sample in strict_json.read(folder / "expected.json")["samples"]:
        raw = (folder / sample["file"]).read_bytes() if "file" in sample else sample.get("text", sample.get("words"))
        (answer,) = predictor.answers([predictor.encode(raw, "a sample")])
        if not close(answer, sample["answer"]):
            raise UserError(f"{folder}: {sample} is answered by {answer}: do not use the package")


def check_texts(generator: Any, folder: Path, max_mean: float) -> None:
    """Raises UserError if the loss of a text is not that of evaluate, in nats for each of its tokens."""
    for sample in strict_json.read(folder / "expected.json")["samples"]:
        tokens = generator.tokenizer.encode(sample["text"])
        nats = float(generator.token_losses(tokens).sum())
        if len(tokens) != sample["tokens"] or not abs(nats - sample["nats"]) <= max_mean * len(tokens):
            raise UserError(f"{folder}: a sample has {nats:.3f} nats, not {sample['nats']}: do not use the package")


def close(one: Any, other: Any) -> bool:
    """Whether two answers are equal, numbers but for rounding."""
    if isinstance(one, float):
        return abs(one - other) <= SAMPLE_TOLERANCE * max(1.0, abs(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == other
