"""How near the training steps come to what this machine can do at most.

    python -m benchmarks.kernels.roofline [--rounds 3]

The roof is the lower of two: the speed of a product of large matrices, and that of the memory times the operations for
each byte (Williams et al. 2009, doi:10.1145/1498765.1498785). Both are measured in each round, beside the step. A step
moves at least what the compiler gives it to read and to write, and what it keeps in between, once in and once out. The
ratio is the share of the roof that the step attains.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.alone import run
from benchmarks.kernels import convolution, operations, recurrent
from benchmarks.row import Options, Row, Turn, number, of_rounds
from benchmarks.training import language_model, resnet_steps
from pipeline.config.networks import GPTConfig
from pipeline.examples.batch import Examples
from pipeline.layers.convolution import conv
from pipeline.layers.recurrent import gru, lstm
from pipeline.training import memory_plan

SIDE = 2_048  # of the matrices
MEGABYTES = 256  # that are read and written, more than any cache holds


class Work(NamedTuple):
    what: str
    seconds: Callable[[], float]  # that a step takes now
    operations: float
    bytes: float


class Roof(NamedTuple):
    arithmetic: float  # operations a second
    memory: float  # bytes a second


def roof(*, quick: bool) -> Roof:
    side, megabytes = (256, 16) if quick else (SIDE, MEGABYTES)
    matrix, long = recurrent.normal(side, side), jnp.ones(megabytes * 2**18)
    product, move = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1, donate_argnums=0)

    def moved_once() -> Array:
        nonlocal long
        long = move(long)  # in its own memory: new memory would be mapped page by page
        return long

    seconds = 0.1 if quick else 1.0
    multiplied = convolution.best(lambda: product(matrix, matrix), seconds=seconds) / 1e3
    moved = convolution.best(moved_once, seconds=seconds) / 1e3
    return Roof(2 * side**3 / multiplied, 2 * long.nbytes / moved)


def bytes_moved(function: Callable[..., Any], *arguments: Any) -> float:
    """At least, by the compiler's plan of the memory."""
    plan: Any = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return plan.argument_size_in_bytes + plan.output_size_in_bytes + 2.0 * plan.temp_size_in_bytes


def resnet(steps: int) -> Work:
    data = resnet_steps.read(steps)
    turn = resnet_steps.looped(data)
    learn, state = resnet_steps.begin()
    examples = Examples({"images": jnp.asarray(data.images)}, jnp.asarray(data.labels), None)
    batch = resnet_steps.TASK.inputs.batch(examples, jnp.asarray(data.rows[0]), 0)
    of_a_step = operations.count(learn.train_step, state, batch)
    what = f"a training step of resnet, batch {resnet_steps.BATCH}"
    return Work(what, lambda: turn().figure / 1e3, of_a_step, bytes_moved(learn.train_step, state, batch))


def layer(name: str, shape: tuple[int, int, int], seconds: float) -> Work:
    b, t, h = shape
    function, gates, biases = {"lstm": (lstm, 4, 1), "gru": (gru, 3, 2)}[name]
    x, g, matrix = recurrent.normal(b, t, h), recurrent.normal(b, t, h), recurrent.normal(h, gates * h, scale=h**-0.5)
    state = x, matrix, matrix, *[jnp.zeros(gates * h)] * biases
    lengths = jnp.full(b, t, jnp.int32)

    def both_ways(*state: Array) -> tuple[Array, ...]:
        return jax.vjp(lambda x, *weights: function(x, lengths, *weights), *state)[1](g)

    steps = partial(jax.jit(partial(recurrent.train, function, lengths, g)), state)
    what = f"{name} forward and backward, {b} x {t} x {h}"
    return Work(
        what,
        lambda: recurrent.best_ms(steps, seconds, {}).figure / 1e3,
        operations.count(both_ways, *state),
        bytes_moved(both_ways, *state),
    )


def convolved(size: int, channels: int, seconds: float) -> Work:
    x = convolution.normal(convolution.BATCH, size, size, channels)
    kernel = convolution.normal(3, 3, channels, channels)
    both_ways = jax.jit(partial(convolution.descend, convolution=conv))
    what = f"a convolution forward and backward, {convolution.BATCH} images of {size} x {size} x {channels}"
    return Work(
        what,
        lambda: convolution.best(lambda: both_ways((x, kernel)), seconds=seconds) / 1e3,
        operations.count(both_ways, (x, kernel)),
        bytes_moved(both_ways, (x, kernel)),
    )


def transformer(data: Path, size: tuple[int, int, int]) -> Work:
    """Six operations a parameter and token, and attention's. AdamW reads four arrays of the parameters' size: these,
    their gradients and both moments; and writes three.
    """
    batch, context, _ = size
    config = GPTConfig.model_validate({"variant": "124m", "dropout": 0.0, "context": context})
    language_model.windows(*size, data)
    token = 6 * language_model.PARAMETERS + memory_plan.attention_flops(config, context)
    what = f"a training step of 124 million parameters, {batch} x {context} tokens"
    return Work(
        what,
        lambda: batch * context / language_model.here(data, size, config).figure,
        batch * context * token,
        7.0 * 4 * language_model.PARAMETERS,
    )


def rows(options: Options) -> Iterator[Row]:
    quick = options.quick
    seconds = 0.2 if quick else recurrent.SECONDS
    yield against_roof(resnet(4 if quick else 16), options)
    for size, channels in ((14, 64),) if quick else ((28, 32), (14, 64), (7, 128)):
        yield against_roof(convolved(size, channels, seconds), options)
    for name in ("lstm",) if quick else ("lstm", "gru"):
        for shape in recurrent.SHAPES[-1:] if quick else recurrent.SHAPES:
            yield against_roof(layer(name, shape, seconds), options)
    if not quick:
        with tempfile.TemporaryDirectory() as folder:
            yield against_roof(transformer(Path(folder) / "windows.npy", (2, 256, 20)), options)


def against_roof(work: Work, options: Options) -> Row:
    done, roofs = [], []
    for _ in range(options.rounds):
        roofs.append(now := roof(quick=options.quick))
        most = min(now.arithmetic, now.memory * work.operations / work.bytes)
        done.append({"": Turn(work.operations / work.seconds() / 1e9), "the roof": Turn(most / 1e9)})
    arithmetic, memory = (statistics.median(figures) for figures in zip(*roofs))
    bound = "arithmetic" if work.operations / arithmetic > work.bytes / memory else "memory"
    of_a_step = f"{number(work.operations / 1e9)} x 10^9 operations, {number(work.bytes / 1e6)} MB"
    roofs_told = f"{number(arithmetic / 1e9)} x 10^9 a second, {number(memory / 1e9)} GB a second"
    same = f"{of_a_step}; {roofs_told}: {bound} is the limit"
    return of_rounds(f"share of the roof: {work.what}", "GFLOP/s", done, ("the roof",), same=same)


if __name__ == "__main__":
    run(rows, __doc__)
