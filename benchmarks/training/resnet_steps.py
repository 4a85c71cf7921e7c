"""Times resnet's training steps in one compiled loop against the same steps dispatched one by one.

    python -m benchmarks.training.resnet_steps [--steps 16] [--rounds 3]

Three ways, in turns, in one process: the loop that training uses, its steps one by one, and one by one with the
library's own convolution and autodiff, which is at its best outside a loop.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.training.fashion_mnist import TASK
from pipeline.config.networks import ResNetConfig
from pipeline.config.optimizers import SGD
from pipeline.examples.batch import Examples
from pipeline.models import resnet
from pipeline.training import optimizers, trainer
from pipeline.training.trainer import State

BATCH = 128


def library_conv(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    images = jnp.asarray(random.integers(0, 256, (4_000, 28, 28, 1)), jnp.uint8)
    data = Examples({"images": images}, jnp.asarray(random.integers(0, 10, 4_000), jnp.int32), None)
    rows = jnp.asarray(random.integers(0, 4_000, (arguments.steps, BATCH)), jnp.int32)

    def begin() -> tuple[trainer.Trainer, State]:
        optimizer = partial(
            optimizers.build, SGD(name="sgd", momentum=0.9), lambda _: 0.1, weight_decay=5e-4, gradient_clip=None
        )
        return trainer.start(ResNetConfig(widths=(16, 48, 96), blocks=1), TASK, optimizer, seed=0)

    def looped() -> Callable[[], State]:
        learn, state = begin()
        return lambda: learn.train_block(jax.tree.map(jnp.copy, state), data, rows, jnp.int32(len(rows)), 0)[0]

    def one_by_one() -> Callable[[], State]:
        learn, state = begin()

        @partial(jax.jit, donate_argnums=0)
        def step(state: State, chosen: jax.Array) -> State:
            return learn.train_step(state, TASK.inputs.batch(data, chosen, 0))[0]

        def run() -> State:
            now = jax.tree.map(jnp.copy, state)
            for chosen in rows:
                now = step(now, chosen)
            return now

        jax.block_until_ready(run())  # compiles while the convolution is what the caller made it
        return run

    ways = {"in a loop": looped(), "one by one": one_by_one()}
    jax.block_until_ready(ways["in a loop"]())
    own, resnet.conv = resnet.conv, library_conv  # type: ignore[assignment]
    ways["one by one, library"] = one_by_one()
    resnet.conv = own
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, run in ways.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append((time.perf_counter() - began) / len(rows) * 1e3)
    first = times["in a loop"]
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(first, taken))
        print(f"{name:20} {statistics.median(taken):7.1f} ms a step; in a loop it takes {ratio:.2f} times that")


if __name__ == "__main__":
    main()
