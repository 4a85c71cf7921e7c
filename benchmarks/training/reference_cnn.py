"""Trains the reference network on Fashion-MNIST here and in Keras on TensorFlow, in turns on the same cores.

    python -m benchmarks.training.reference_cnn [--rounds 3] [--peers .venv-benchmarks]

Both train the same network with Adam at 1e-3 on the training images and report images a second, the first epoch, which
compiles, left out: with batches of 32 and of 128, and each with the batch that suits it best. Each round runs both in
new processes. Keras runs with and without XLA, and the better counts. Ours is one function that is specialised for this
network's first layer, and Keras's are layers for any network.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, Ways, answer, in_turns

if TYPE_CHECKING:
    from pipeline.training.trainer import State, Trainer

BATCHES = (32, 128)
LARGER = (512, 2_048)  # that may suit one better
EPOCHS = 2
KERAS = Path(__file__).parent / "peers/keras_cnn.py"
NOTE = "ours is specialised for this network, Keras's are stock layers"
WITHIN = {"parameters": 0.0, "loss": 0.15}  # other first weights of the same distribution, another order


def begin() -> tuple["Trainer", "State"]:
    from benchmarks.training.fashion_mnist import TASK
    from pipeline.config.networks import CNNConfig
    from pipeline.config.optimizers import Adam
    from pipeline.training import optimizers, trainer

    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 1e-3, weight_decay=0.0, gradient_clip=None)
    return trainer.start(CNNConfig(filters=32, kernel=3), TASK, optimizer, seed=0)


def ours(data: str, batch: int, epochs: int) -> dict[str, float]:
    """Images a second of this project's training loop, its parameters, and the loss of the last epoch."""
    import jax
    import numpy as np

    from pipeline.examples.batch import Examples
    from pipeline.loaders import buckets

    x, y = np.load(data)["x"], np.load(data)["y"]
    learn, state = begin()
    data_here = Examples({"images": x}, y, None)
    resident = jax.device_put(data_here)
    began, sums = 0.0, []
    for epoch in range(epochs + 1):
        sums.clear()
        for block in buckets.epoch_batches(0, epoch, data_here, batch=batch, ends=(0,)):
            steps = len(block.rows)
            padded = np.pad(block.rows, [(0, buckets.BLOCK - steps), (0, 0)])
            state, some = learn.train_block(state, resident, padded, np.int32(steps), 0)  # type: ignore[arg-type]
            sums.append(some)
        jax.block_until_ready(state)
        began = began or time.perf_counter()
    rate = len(x) // batch * batch * epochs / (time.perf_counter() - began)
    loss, weight, *_ = np.concatenate(sums).sum(0)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    return {"figure": rate, "parameters": parameters, "loss": float(loss / weight)}


def here(data: Path, batch: int, epochs: int) -> Turn:
    """In a process of its own."""
    code = "import json, sys; from benchmarks.training.reference_cnn import ours; "
    code += "print(json.dumps(ours(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))"
    return answer(sys.executable, "-c", code, data, str(batch), str(epochs), own=True)


def keras(python: Path, data: Path, batch: int, epochs: int, *, xla: bool) -> Turn:
    return answer(python, KERAS, data, str(batch), str(epochs), str(int(xla)))


def rows(options: Options) -> Iterator[Row]:
    epochs = 1 if options.quick else EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.npz"
        write(data, 6_400 if options.quick else 60_000)
        for batch in BATCHES:
            what, ways = f"training of the reference cnn, batch {batch}", {"": partial(here, data, batch, epochs)}
            theirs = keras_ways(options, data, batch, epochs)
            yield in_turns(what, "images/s", ways, theirs, rounds=options.rounds, within=WITHIN, same=NOTE)
        if not options.quick:
            ways, theirs = {}, {}
            for batch in BATCHES + LARGER:
                ways[f"batch {batch}"] = partial(here, data, batch, epochs)
                several = keras_ways(options, data, batch, epochs)
                theirs |= {f"{name}, batch {batch}": way for name, way in several.items()}
            what, within = "training of the reference cnn, each at its best batch", {"parameters": 0.0}
            yield in_turns(what, "images/s", ways, theirs, rounds=options.rounds, within=within, same=NOTE)


def keras_ways(options: Options, data: Path, batch: int, epochs: int) -> Ways:
    if not (python := options.peers):
        return {}
    settings = {"Keras": False} if options.quick else {"Keras": False, "Keras, XLA": True}
    return {name: partial(keras, python, data, batch, epochs, xla=xla) for name, xla in settings.items()}


def write(path: Path, count: int) -> None:
    """The first images of the training split, and their labels."""
    import numpy as np

    from pipeline.config import paths
    from pipeline.readers.formats.idx import read_array

    source = paths.RAW / "fashion-mnist"
    images = read_array(source / "train-images-idx3-ubyte.gz", axes=3)[:count, ..., None]
    labels = read_array(source / "train-labels-idx1-ubyte.gz", axes=1)[:count].astype(np.int32)
    np.savez(path, x=images, y=labels)


if __name__ == "__main__":
    run(rows, __doc__)
