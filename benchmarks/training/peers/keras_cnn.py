"""python keras_cnn.py NPZ BATCH EPOCHS XLA: the reference network in Keras on TensorFlow, XLA being 0 or 1.

Prints the images a second after a first epoch, the parameters, and the loss of the last epoch. Its settings are the
fastest of those that Keras documents: a cached and prefetched tf.data, and several steps in an execution.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

STEPS = 32  # in an execution


def network(*, xla: bool) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Rescaling(1 / (255 * 0.353), offset=-0.286 / 0.353),
            keras.layers.Conv2D(32, 3, activation="relu", kernel_initializer="lecun_normal"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_initializer="lecun_normal"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=xla, steps_per_execution=STEPS)
    return model


def dataset(x: np.ndarray, y: np.ndarray, batch: int) -> tf.data.Dataset:
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).cache().shuffle(len(x))
    return shuffled.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def main() -> None:
    batch, epochs, xla = map(int, sys.argv[2:5])
    data = np.load(sys.argv[1])
    model, images = network(xla=bool(xla)), len(data["x"]) // batch * batch
    batches = dataset(data["x"], data["y"], batch)
    model.fit(batches, epochs=1, verbose=0)
    began = time.perf_counter()
    history = model.fit(batches, epochs=epochs, verbose=0).history
    rate = images * epochs / (time.perf_counter() - began)
    print(json.dumps({"figure": rate, "parameters": model.count_params(), "loss": history["loss"][-1]}))


if __name__ == "__main__":
    main()
