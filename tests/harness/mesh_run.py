"""Trains small models on meshes, in a process with four devices.

It reads a line of JSON for each run: {"model", "mesh": [data, fsdp, tensor], "to": FILE, "start": FILE or null}, where
`start` is a checkpoint to go on from. It answers with a line: the loss of each step, how many devices the largest array
lies on, what share of it one device has, and how many windows of the text were read at once.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

DEVICES = 4
# Devices that wait for one another on few and busy cores: each has its threads, and a pause of the machine is no end.
os.environ["NPROC"] = str(2 * DEVICES)
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={DEVICES} --xla_cpu_collective_call_terminate_timeout_seconds=900"
)
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.with_name("samples")), str(HERE.parents[1])]

from pipeline.config.networks import GPT_SIZES, CNNConfig, GPTSize, LSTMConfig  # noqa: E402
from pipeline.runtime import environment  # noqa: E402

environment.set_up()

import corpora  # noqa: E402
import numpy as np  # noqa: E402
import small_tasks  # noqa: E402

from pipeline.config.optimizers import Adam, Muon  # noqa: E402
from pipeline.loaders.loader import ExampleLoader, Loader, WindowLoader  # noqa: E402
from pipeline.parallel import sharding  # noqa: E402
from pipeline.training import optimizers, trainer  # noqa: E402
from pipeline.training.checkpoints.files import Checkpoint  # noqa: E402
from pipeline.training.run import TrainingRun, from_checkpoint, to_checkpoint  # noqa: E402

BATCH, STEPS = 8, 6
GPT_SIZES["nano"] = GPTSize(1, 128, 4, 2, 128)
CASES = {
    "gpt": (corpora.TASK, corpora.CONFIGS["gpt"](dropout=0.1), Muon(name="muon")),
    "cnn": (small_tasks.images(), CNNConfig(filters=8, kernel=3), Adam(name="adam")),
    "lstm": (
        small_tasks.texts(),
        LSTMConfig(cell="lstm", width=64, hidden=64, layers=1, dropout=0.1, token_dropout=0.1),
        Adam(name="adam"),
    ),
}


def loader(task: Any, devices: Any, reads: list[int]) -> Loader:
    """The task's examples; of a text, it notes in `reads` how many windows are read at once."""
    if task is not corpora.TASK:
        return ExampleLoader(small_tasks.examples(task, 200), seed=0, batch=BATCH, devices=devices)
    text = corpora.corpus(900, 300)
    read = text.windows

    def counted(first: Any, length: int) -> Any:
        reads.append(len(first))
        return read(first, length)

    text.windows = counted
    return WindowLoader(text, seed=0, batch=BATCH, context=16, steps=20, devices=devices)


def run(model: str, mesh: list[int], to: Path, start: Path | None) -> dict[str, Any]:
    task, config, optimizer = CASES[model]
    parts = 2 if model == "gpt" else 1  # of a batch
    wanted = sharding.Mesh(**dict(zip(("data", "fsdp", "tensor"), mesh)))
    devices = None
    if wanted.size > 1:
        with mock.patch("jax.device_count", return_value=wanted.size):  # the mesh takes the first ones of those here
            devices = sharding.make_mesh(wanted, batch=BATCH // parts, tensor_parallel=config.tensor_parallel)
    make_optimizer = partial(optimizers.build, optimizer, lambda _: 1e-3, weight_decay=0.1, gradient_clip=1.0)
    learn, state = trainer.start(config, task, make_optimizer, seed=0, microbatches=parts, devices=devices)
    begun = TrainingRun(state)
    if start:
        begun = from_checkpoint(
            Checkpoint(dict(np.load(start)), json.loads(start.with_suffix(".json").read_text())), state
        )
    reads: list[int] = []
    feed = loader(task, devices, reads)
    state, losses = begun.state, []
    blocks = feed.epoch(1)
    longest = max(block.length for block in blocks)  # those of one shape, to compile only one
    for data, rows, length in feed.load([block for block in blocks if block.length == longest], begun.steps_done):
        for row in rows[: STEPS - len(losses)]:
            padded = np.pad(row[None], [(0, 127), (0, 0)])
            state, sums = learn.train_block(state, data, padded, np.int32(1), length)
            loss, weight = np.asarray(sums)[0][:2]
            losses.append(float(loss / weight))
    kept = to_checkpoint(begun._replace(state=state, steps_done=begun.steps_done + len(losses)))
    largest: Any = max(kept.arrays.values(), key=lambda array: array.size)
    host: dict[str, Any] = {name: np.asarray(array) for name, array in kept.arrays.items()}
    np.savez(to, **host)
    to.with_suffix(".json").write_text(json.dumps(kept.facts))
    return {
        "losses": losses,
        "share": largest.addressable_shards[0].data.size / largest.size,
        "devices": len(largest.sharding.device_set),
        "read": max(reads, default=0),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        wish = json.loads(line)
        start = wish["start"] and Path(wish["start"])
        print(json.dumps(run(wish["model"], wish["mesh"], Path(wish["to"]), start)), flush=True)
