"""Times convolutions forward and backward, alone and in a loop.

    python -m benchmarks.kernels.convolution [--rounds 3]

Milliseconds a step, the least of several; the ratio is ours in a loop to autodiff outside one.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, in_turns
from pipeline.layers.convolution import conv, conv_relu_pool, max_pool

BATCH = 128
SHAPES = [  # size, channels, filters, kernel, stride
    (28, 16, 16, 3, 1),
    (28, 32, 32, 3, 1),
    (14, 64, 64, 3, 1),
    (7, 128, 128, 3, 1),
    (32, 3, 32, 3, 1),
    (28, 32, 64, 3, 2),
    (14, 64, 128, 3, 2),
    (28, 32, 64, 1, 2),
]
STEPS = 2  # of a loop of convolutions
BATCHES = 20  # of a loop over images


def best(run: Callable[[], object], *, seconds: float = 2.0) -> float:
    """Milliseconds of the fastest of the runs that fit in about `seconds`, at least three."""
    jax.block_until_ready(run())  # compiles
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def normal(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def library_conv(x: Array, kernel: Array, *, stride: int = 1, padding: str = "SAME") -> Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=layout)


def descend(state: tuple[Array, Array], _: None = None, *, convolution: Callable[..., Array]) -> tuple:
    """A step in both the images and the kernel, so that no step of a loop repeats the last."""
    y, pull = jax.vjp(convolution, *state)
    return tuple(p - 1e-6 * dp for p, dp in zip(state, pull(y))), None


def convolutions() -> None:
    print(f"{'size':>4} {'c':>4} {'f':>4} {'k':>2} {'s':>2} {'autodiff':>9} {'in a loop':>10} {'ours':>7}  ratio")
    for size, channels, filters, kernel, stride in SHAPES:
        state = normal(BATCH, size, size, channels), normal(kernel, kernel, channels, filters) / size
        autodiff, ours = (partial(descend, convolution=partial(f, stride=stride)) for f in (library_conv, conv))
        alone = best(partial(jax.jit(autodiff), state))
        slow, fast = (best(partial(jax.jit(partial(lax.scan, step, length=STEPS)), state)) for step in (autodiff, ours))
        shape = f"{size:4} {channels:4} {filters:4} {kernel:2} {stride:2}"
        print(f"{shape} {alone:9.1f} {slow / STEPS:10.1f} {fast / STEPS:7.1f} {fast / STEPS / alone:6.2f}", flush=True)


def library_layer(x: Array, kernel: Array, bias: Array) -> Array:
    y = nnx.relu(library_conv(x, kernel, padding="VALID") + bias.reshape(1, 1, 1, -1))
    return nnx.max_pool(y, (2, 2), strides=(2, 2))


def general_layer(x: Array, kernel: Array, bias: Array) -> Array:
    return nnx.relu(max_pool(conv(x, kernel, padding="VALID") + bias.reshape(1, 1, 1, -1), 2))


@partial(jax.jit, static_argnames="layer")
def train(xs: Array, params: tuple[Array, Array], *, layer: Callable) -> tuple:
    def step(params: tuple[Array, Array], x: Array) -> tuple:
        y, pull = jax.vjp(partial(layer, x), *params)
        return tuple(p - 1e-6 * dp for p, dp in zip(params, pull(y))), None

    return lax.scan(step, params, xs)[0]


def rows(options: Options) -> Iterator[Row]:
    """The reference network's first layer, as training runs it, beside the library's."""
    xs, params = normal(BATCHES, BATCH, 28, 28, 1), (normal(3, 3, 1, 32), normal(32))
    seconds = 0.3 if options.quick else 2.0

    def timed(layer: Callable) -> Callable[[], Turn]:
        return lambda: Turn(best(partial(train, xs, params, layer=layer), seconds=seconds) / BATCHES)

    what = f"convolution, relu and pooling, {BATCH} x 28 x 28 x 1, 32 filters, in a loop"
    for name, layer, least in (
        ("the library's layers", library_layer, 3.0),
        ("our layers for any shape", general_layer, 1.1),
    ):
        ways = {"": timed(conv_relu_pool)}, {name: timed(layer)}
        yield in_turns(what, "ms", *ways, rounds=options.rounds, least=least)


if __name__ == "__main__":
    convolutions()
    run(rows, __doc__)
