"""Trains the reference network on Fashion-MNIST here and in Keras on TensorFlow, in turns on the same cores.

    pip install '.[benchmark]'      (in an environment of its own: Keras and TensorFlow are large)
    python -m benchmarks.training.reference_cnn [--batch 32] [--epochs 2] [--rounds 3] [--keras /path/to/that/python]

Both train the same network with Adam at 1e-3 on the 60,000 training images and report images a second, the first
epoch, which compiles, left out. Each round runs both in fresh processes; the ratio is taken round by round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial

KERAS = """
import json, sys, time
import numpy as np, keras
batch, epochs = int(sys.argv[1]), int(sys.argv[2])
x, y = np.load(sys.argv[3])["x"], np.load(sys.argv[3])["y"]
model = keras.Sequential([
    keras.Input((28, 28, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(32, 3, activation="relu"),
    keras.layers.MaxPooling2D(2), keras.layers.Flatten(), keras.layers.Dense(10),
])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
began = time.perf_counter()
model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
print(json.dumps(len(x) * epochs / (time.perf_counter() - began)))
"""


def ours(batch: int, epochs: int, data: str) -> float:
    """Images a second of this project's training loop."""
    import jax
    import numpy as np

    from benchmarks.training.fashion_mnist import TASK
    from pipeline.config.networks import CNNConfig
    from pipeline.config.optimizers import Adam
    from pipeline.examples.batch import Examples
    from pipeline.loaders import buckets
    from pipeline.training import optimizers, trainer

    x, y = np.load(data)["x"], np.load(data)["y"]
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 1e-3, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(CNNConfig(filters=32, kernel=3), TASK, optimizer, seed=0)
    data_here = Examples({"images": x}, y, None)
    resident = jax.device_put(data_here)
    began = 0.0
    for epoch in range(epochs + 1):
        for block in buckets.epoch_batches(0, epoch, data_here, batch=batch, ends=(0,)):
            steps = len(block.rows)
            padded = np.pad(block.rows, [(0, buckets.BLOCK - steps), (0, 0)])
            state, _ = learn.train_block(state, resident, padded, np.int32(steps), 0)  # type: ignore[arg-type]
        jax.block_until_ready(state)
        began = began or time.perf_counter()
    return len(x) // batch * batch * epochs / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras", default=sys.executable, help="the Python that has Keras and TensorFlow")
    parser.add_argument("--ours", metavar="NPZ", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        print(json.dumps(ours(arguments.batch, arguments.epochs, arguments.ours)))
        return

    import tempfile
    from pathlib import Path

    import numpy as np

    from pipeline.config import paths
    from pipeline.readers.formats.idx import read_array

    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "train.npz")
        source = paths.RAW / "fashion-mnist"
        images = read_array(source / "train-images-idx3-ubyte.gz", axes=3)[..., None]
        labels = read_array(source / "train-labels-idx1-ubyte.gz", axes=1).astype(np.int32)
        np.savez(data, x=images, y=labels)
        size = ["--batch", str(arguments.batch), "--epochs", str(arguments.epochs)]
        mine = [sys.executable, "-m", "benchmarks.training.reference_cnn", *size, "--ours", data]
        theirs = [arguments.keras, "-c", KERAS, str(arguments.batch), str(arguments.epochs), data]
        rounds = []
        for number in range(arguments.rounds):
            rates = [float(json.loads(run(command).splitlines()[-1])) for command in (mine, theirs)]
            rounds.append(rates)
            print(f"round {number + 1}: {rates[0]:,.0f} images/s here, {rates[1]:,.0f} in Keras")
    ratios = [a / b for a, b in rounds]
    print(f"batch {arguments.batch}: ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
