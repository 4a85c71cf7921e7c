"""Times resnet's training steps in the loop that training uses: beside PyTorch, and beside other ways here.

    python -m benchmarks.training.resnet_steps [--rounds 3] [--peers .venv-benchmarks]

PyTorch trains the same network, channels last, eagerly and compiled, and the better counts. The other ways here are the
steps one by one, and the library's own convolution and autodiff: in the same loop, where they are slow, and one by one,
where they are at their best.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, answer, in_turns
from benchmarks.training import reference_cnn
from benchmarks.training.fashion_mnist import TASK
from pipeline.config.networks import ResNetConfig
from pipeline.config.optimizers import SGD
from pipeline.examples.batch import Examples
from pipeline.models import resnet
from pipeline.training import optimizers, trainer
from pipeline.training.trainer import State

BATCH, IMAGES = 128, 4_000
NETWORK = ResNetConfig(widths=(16, 48, 96), blocks=1)
TORCH = Path(__file__).parent / "peers/torch_resnet.py"
WITHIN = {"parameters": 0.0, "loss": 0.1}  # of few steps from other first weights


class Data(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray  # of each step


def library_conv(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def begin() -> tuple[trainer.Trainer, State]:
    optimizer = partial(
        optimizers.build, SGD(name="sgd", momentum=0.9), lambda _: 0.1, weight_decay=5e-4, gradient_clip=None
    )
    return trainer.start(NETWORK, TASK, optimizer, seed=0)


def looped(data: Data) -> Callable[[], Turn]:
    learn, state = begin()
    examples = Examples({"images": jnp.asarray(data.images)}, jnp.asarray(data.labels), None)
    rows, steps = jnp.asarray(data.rows), len(data.rows)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))

    def turn() -> Turn:
        first = jax.tree.map(jnp.copy, state)
        began = time.perf_counter()
        _, sums = jax.block_until_ready(learn.train_block(first, examples, rows, jnp.int32(steps), 0))
        seconds = time.perf_counter() - began
        loss, weight, *_ = np.asarray(sums)[steps // 2 :].sum(0)
        return Turn(1e3 * seconds / steps, {"parameters": parameters, "loss": float(loss / weight)})

    turn()  # compiles while the convolution is what the caller made it
    return turn


def one_by_one(data: Data) -> Callable[[], Turn]:
    learn, state = begin()
    examples = Examples({"images": jnp.asarray(data.images)}, jnp.asarray(data.labels), None)
    rows = jnp.asarray(data.rows)

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, chosen: jax.Array) -> State:
        return learn.train_step(state, TASK.inputs.batch(examples, chosen, 0))[0]

    def turn() -> Turn:
        now = jax.tree.map(jnp.copy, state)
        began = time.perf_counter()
        for chosen in rows:
            now = step(now, chosen)
        jax.block_until_ready(now)
        return Turn(1e3 * (time.perf_counter() - began) / len(rows))

    turn()
    return turn


def rows(options: Options) -> Iterator[Row]:
    data = read(4 if options.quick else 16)
    ours = looped(data)
    what = f"a training step of resnet, batch {BATCH}"
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.npy" for name in Data._fields]
        for path, array in zip(paths, data):
            np.save(path, array)
        network = json.dumps(NETWORK.widths), str(NETWORK.blocks)
        modes = ("eager",) if options.quick else ("eager", "compiled")
        theirs = {f"PyTorch, {m}": partial(answer, options.peers, TORCH, *paths, *network, m) for m in modes}
        loss_within = {"parameters": 0.0} if options.quick else WITHIN
        peers = theirs if options.peers else {}
        yield in_turns(what, "ms", {"": ours}, peers, rounds=options.rounds, within=loss_within)
    for name, way, convolution, least in (
        ("the library's convolution in the same loop", looped, library_conv, 3.0),
        ("the library's convolution, one by one", one_by_one, library_conv, None),
        ("ours, one by one", one_by_one, resnet.conv, None),
    ):
        if least or not options.quick:
            own, resnet.conv = resnet.conv, convolution  # type: ignore[assignment]
            try:
                other = way(data)
            finally:
                resnet.conv = own
            yield in_turns(f"{what}, in a loop", "ms", {"": ours}, {name: other}, rounds=options.rounds, least=least)


def read(steps: int) -> Data:
    """The first images, and random batches of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.npz"
        reference_cnn.write(path, IMAGES)
        archive = np.load(path)
        images, labels = archive["x"], archive["y"]
    return Data(images, labels, np.random.default_rng(0).integers(0, IMAGES, (steps, BATCH)).astype(np.int32))


if __name__ == "__main__":
    run(rows, __doc__)
