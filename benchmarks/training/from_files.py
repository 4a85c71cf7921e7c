"""Trains the reference cnn on images read from files as steps need them, and on images on the device, in turns.

    python -m benchmarks.training.from_files [--rounds 3]

Both run in the same process, and take the same steps to the same bits. The files are in the memory of the operating
system, unless it has too little.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, in_turns
from benchmarks.training import reference_cnn
from pipeline.examples.batch import Examples
from pipeline.loaders.buckets import BLOCK
from pipeline.loaders.loader import ExampleLoader

LEAST = 0.8  # of the rate with images on the device
WITHIN = {"loss": 0.0}


def trained(examples: Examples, batch: int, *, resident: float) -> Callable[[], Turn]:
    """An epoch at each call, after one that compiles."""
    learn, state = reference_cnn.begin()
    loader = ExampleLoader(examples, seed=0, batch=batch, resident=resident)
    epoch = 0

    def turn() -> Turn:
        nonlocal state, epoch
        epoch += 1
        began, sums = time.perf_counter(), []
        for data, rows, length in loader.load(loader.epoch(epoch), 0):
            padded = np.pad(rows, [(0, BLOCK - len(rows)), (0, 0)])
            state, some = learn.train_block(state, data, padded, np.int32(len(rows)), length)  # type: ignore[arg-type]
            sums.append(some)
        jax.block_until_ready(state)
        rate = loader.steps * batch / (time.perf_counter() - began)
        loss, weight, *_ = np.concatenate(sums).sum(0)
        return Turn(rate, {"loss": float(loss / weight)})

    turn()
    return turn


def rows(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        archive, file = Path(folder) / "train.npz", Path(folder) / "images.npy"
        reference_cnn.write(archive, 6_400 if options.quick else 60_000)
        with np.load(archive) as arrays:
            np.save(file, arrays["x"])
            labels = arrays["y"]
        examples = Examples({"images": np.load(file, mmap_mode="r")}, labels, None)
        for batch in reference_cnn.BATCHES:
            yield in_turns(
                f"training of the reference cnn, batch {batch}, images read from files",
                "images/s",
                {"": trained(examples, batch, resident=0)},
                {"images on the device": trained(examples, batch, resident=float("inf"))},
                rounds=options.rounds,
                within=WITHIN,
                least=LEAST / 2 if options.quick else LEAST,
            )


if __name__ == "__main__":
    run(rows, __doc__)
