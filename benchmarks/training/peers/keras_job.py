"""python keras_job.py FOLDER BATCH EPOCHS OUT: from the files of Fashion-MNIST to a tested and saved model, in Keras.

A tenth of the training images is held out to validate on after each epoch. Prints the parameters and the test accuracy.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
from keras_cnn import dataset, network


def read(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def split(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    images = read(folder / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    return images, read(folder / f"{name}-labels-idx1-ubyte.gz", 8).astype(np.int32)


def main() -> None:
    folder, batch, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    (x, y), (test_x, test_y) = split(folder, "train"), split(folder, "t10k")
    held_out = len(x) // 10
    model = network(xla=False)
    training = dataset(x[held_out:], y[held_out:], batch)
    model.fit(training, epochs=epochs, validation_data=(x[:held_out], y[:held_out]), verbose=0)
    _, accuracy = model.evaluate(test_x, test_y, batch_size=1_000, verbose=0)
    model.save(sys.argv[4])
    print(json.dumps({"parameters": model.count_params(), "accuracy": accuracy}))


if __name__ == "__main__":
    main()
