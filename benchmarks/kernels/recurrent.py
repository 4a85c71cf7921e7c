"""Times recurrent layers forward and backward against the textbook cell and, with --torch, against PyTorch.

    python -m benchmarks.kernels.recurrent [--rounds 5] [--torch /path/to/a/python/that/has/torch]

Milliseconds a step, in a loop of steps. In each round all take turns, and the fastest run of a turn counts, since other
load on the machine slows torch's threads far more than ours. It prints medians over the rounds, and ratios with their
least and largest. Torch runs in a process of its own in each round, with the same number of threads.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pipeline.layers.recurrent import gru, lstm

SHAPES = [(64, 200, 128), (32, 50, 128)]  # sequences, tokens, width of the input and of the state
STEPS = 5  # of a loop
SECONDS = 2.0  # for each in a round

TORCH = """
import json, sys, time, torch
name, b, t, h, threads, seconds = sys.argv[1], *map(int, sys.argv[2:6]), float(sys.argv[6])
torch.set_num_threads(threads)
layer = getattr(torch.nn, name.upper())(h, h, batch_first=True)
x, g = torch.randn(b, t, h, requires_grad=True), torch.randn(b, t, h)
def step():
    layer(x)[0].backward(g)
    x.grad = None
    layer.zero_grad()
for _ in range(3):
    step()
times = []
while len(times) < 3 or sum(times) < seconds:
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
print(json.dumps(1e3 * min(times)))
"""


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


def best_ms(run: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < 3 or sum(times) < SECONDS:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / STEPS


def torch_ms(python: str, name: str, shape: tuple[int, int, int]) -> float:
    threads = len(os.sched_getaffinity(0))
    command = [python, "-W", "ignore", "-c", TORCH, name, *map(str, (*shape, threads, SECONDS))]
    return float(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has torch")
    arguments = parser.parse_args()
    for name, ours, textbook, gates, biases in (
        ("lstm", lstm, textbook_lstm, 4, 1),
        ("gru", gru, textbook_gru, 3, 2),
    ):
        for b, t, h in SHAPES:
            matrix = normal(h, gates * h, scale=h**-0.5)
            state = normal(b, t, h), matrix, matrix, *[jnp.zeros(gates * h)] * biases
            lengths = jnp.full(b, t, jnp.int32)
            runs = {
                which: partial(jax.jit(partial(train, layer, lengths, normal(b, t, h))), state)
                for which, layer in (("ours", ours), ("textbook", textbook))
            }
            for run in runs.values():
                jax.block_until_ready(run())  # compiles
            timers = {which: partial(best_ms, run) for which, run in runs.items()}
            if arguments.torch:
                timers["torch"] = partial(torch_ms, arguments.torch, name, (b, t, h))
            rounds = [{which: timer() for which, timer in timers.items()} for _ in range(arguments.rounds)]
            print(
                f"{name} {b} x {t} x {h}, {arguments.rounds} rounds: ours {middle(rounds, 'ours'):.1f} ms", flush=True
            )
            for other in list(timers)[1:]:
                ratios = [times[other] / times["ours"] for times in rounds]
                spread = f"{statistics.median(ratios):.2f} times ours ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"    {other} {middle(rounds, other):.1f} ms, {spread}", flush=True)


def middle(rounds: list[dict[str, float]], which: str) -> float:
    return statistics.median(times[which] for times in rounds)


if __name__ == "__main__":
    main()
