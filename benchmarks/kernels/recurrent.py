"""Times recurrent layers forward and backward beside PyTorch, and beside the textbook cell in JAX.

    python -m benchmarks.kernels.recurrent [--rounds 3] [--peers .venv-benchmarks]

Milliseconds a step, in a loop of steps. In each round all take turns, and the fastest run of a turn counts, since other
load on the machine slows torch's threads far more than ours. PyTorch runs in a new process in each round, on the same
inputs with the same weights.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, answer, in_turns
from pipeline.layers.recurrent import gru, lstm

SHAPES = [(64, 200, 128), (32, 50, 128)]  # sequences, tokens, width of the input and of the state
STEPS = 5  # of a loop
SECONDS = 2.0  # for each in a round
LEAST = 1.1  # times as fast as the textbook cell

TORCH = Path(__file__).parent / "peers/torch_recurrent.py"
WITHIN = {"output": 1e-3, "gradient": 1e-3}  # of the same weights


def normal(*shape: int, scale: float = 1.0) -> Array:
    return jnp.asarray(scale * np.random.default_rng(0).normal(size=shape), jnp.float32)


def textbook_lstm(x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    def step(carry: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        (hidden, cell), (x, real) = carry, at
        i, f, g, o = jnp.split(x @ kernel + hidden @ recurrent + bias[None], 4, axis=1)
        new_cell = jax.nn.sigmoid(f + 1) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        new = jax.nn.sigmoid(o) * jnp.tanh(new_cell)
        return (jnp.where(real, new, hidden), jnp.where(real, new_cell, cell)), jnp.where(real, new, 0)

    return scanned(step, x, lengths, recurrent, states=2)


def textbook_gru(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array
) -> Array:
    def step(carry: tuple[Array], at: tuple[Array, Array]) -> tuple[tuple[Array], Array]:
        (hidden,), (x, real) = carry, at
        a = jnp.split(x @ kernel + bias[None], 3, axis=1)
        s = jnp.split(hidden @ recurrent + recurrent_bias[None], 3, axis=1)
        r, z = jax.nn.sigmoid(a[0] + s[0]), jax.nn.sigmoid(a[1] + s[1])
        new = (1 - z) * jnp.tanh(a[2] + r * s[2]) + z * hidden
        return (jnp.where(real, new, hidden),), jnp.where(real, new, 0)

    return scanned(step, x, lengths, recurrent, states=1)


def scanned(step: Callable, x: Array, lengths: Array, recurrent: Array, *, states: int) -> Array:
    real = (jnp.arange(x.shape[1])[:, None] < lengths[None])[..., None]
    start = (jnp.zeros((x.shape[0], recurrent.shape[0])),) * states
    return lax.scan(step, start, (x.transpose(1, 0, 2), real))[1].transpose(1, 0, 2)


def train(layer: Callable[..., Array], lengths: Array, g: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
    """Steps in the inputs and the weights, so that no step of the loop repeats the last."""

    def step(_: int | Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        _, pull = jax.vjp(lambda x, *weights: layer(x, lengths, *weights), *state)
        return tuple(p - 1e-6 * dp for p, dp in zip(state, pull(g)))

    return lax.fori_loop(0, STEPS, step, state)


def best_ms(run: Callable[[], object], seconds: float, facts: dict[str, float]) -> Turn:
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return Turn(1e3 * min(times) / STEPS, facts)


def rows(options: Options) -> Iterator[Row]:
    for name, ours, textbook, gates, biases in (
        ("lstm", lstm, textbook_lstm, 4, 1),
        ("gru", gru, textbook_gru, 3, 2),
    ):
        for shape in SHAPES[-1:] if options.quick else SHAPES:
            yield from compared(name, ours, textbook, shape, gates, biases, options)


def compared(
    name: str,
    ours: Callable[..., Array],
    textbook: Callable[..., Array],
    shape: tuple[int, int, int],
    gates: int,
    biases: int,
    options: Options,
) -> Iterator[Row]:
    b, t, h = shape
    seconds = 0.2 if options.quick else SECONDS
    x, g, matrix = normal(b, t, h), normal(b, t, h), normal(h, gates * h, scale=h**-0.5)
    weights = matrix, matrix, *[jnp.zeros(gates * h)] * biases
    lengths = jnp.full(b, t, jnp.int32)
    facts = sizes(ours, lengths, g, x, weights)
    ways = {
        which: partial(best_ms, partial(jax.jit(partial(train, layer, lengths, g)), (x, *weights)), seconds, facts)
        for which, layer in (("", ours), ("the textbook cell in JAX", textbook))
    }
    for way in ways.values():
        way()  # compiles
    mine, theirs = {"": ways.pop("")}, {}
    what = f"{name} forward and backward, {b} x {t} x {h}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.npz"
        bias = jnp.zeros(gates * h) + (jnp.arange(gates * h) // h == 1 if name == "lstm" else 0)  # see lstm: the 1
        np.savez(path, x=x, g=g, kernel=matrix, recurrent=matrix, bias=bias)
        if options.peers:
            theirs = {"PyTorch": partial(answer, options.peers, TORCH, path, name, str(seconds))}
        yield in_turns(what, "ms", mine, theirs, rounds=options.rounds, within=WITHIN)
    yield in_turns(f"{what}, in a loop", "ms", mine, ways, rounds=options.rounds, least=LEAST)


def sizes(
    layer: Callable[..., Array], lengths: Array, g: Array, x: Array, weights: tuple[Array, ...]
) -> dict[str, float]:
    """Of the outputs, and of the gradient of the inputs."""
    y, pull = jax.vjp(lambda x: layer(x, lengths, *weights), x)
    return {"output": float(jnp.linalg.norm(y)), "gradient": float(jnp.linalg.norm(pull(g)[0]))}


if __name__ == "__main__":
    run(rows, __doc__)
