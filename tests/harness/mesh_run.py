"""Trains a small model on a mesh, in a process with so many devices.

`python tests/harness/mesh_run.py MODEL DATA FSDP TENSOR --to FILE` goes on from the checkpoint
--start, if that is said. It prints the loss of each step, where an array lies, and how many windows of the text were
read at once.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("data", type=int)
parser.add_argument("fsdp", type=int)
parser.add_argument("tensor", type=int)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--start", type=Path)
parser.add_argument("--to", type=Path, required=True)
arguments = parser.parse_args()
count = arguments.data * arguments.fsdp * arguments.tensor
# Devices that wait for one another on few and busy cores: each has its threads, and a pause of the machine is no end.
os.environ["NPROC"] = str(2 * count)
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={count} --xla_cpu_collective_call_terminate_timeout_seconds=900"
)
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from pipeline.config.networks import GPT_SIZES, CNNConfig, GPTSize, LSTMConfig  # noqa: E402
from pipeline.runtime import environment  # noqa: E402

environment.set_up()

import corpora  # noqa: E402
import numpy as np  # noqa: E402
import small_tasks  # noqa: E402

from pipeline.config.optimizers import Adam, Muon  # noqa: E402
from pipeline.loaders.loader import ExampleLoader, WindowLoader  # noqa: E402
from pipeline.parallel import sharding  # noqa: E402
from pipeline.training import optimizers, trainer  # noqa: E402
from pipeline.training.checkpoints.store import Checkpoint  # noqa: E402
from pipeline.training.state import TrainingState, from_checkpoint, to_checkpoint  # noqa: E402

BATCH = 8
GPT_SIZES["nano"] = GPTSize(2, 128, 4, 2, 128)
CASES = {
    "gpt": (corpora.TASK, corpora.CONFIGS["gpt"](dropout=0.1), Muon(name="muon")),
    "cnn": (small_tasks.images(), CNNConfig(filters=8, kernel=3), Adam(name="adam")),
    "lstm": (
        small_tasks.texts(),
        LSTMConfig(cell="lstm", width=64, hidden=64, layers=1, dropout=0.1, token_dropout=0.1),
        Adam(name="adam"),
    ),
}
task, config, optimizer = CASES[arguments.model]
parts = 2 if arguments.model == "gpt" else 1  # of a batch
wanted = sharding.Mesh(data=arguments.data, fsdp=arguments.fsdp, tensor=arguments.tensor)
devices = sharding.make(wanted, batch=BATCH // parts, layer=getattr(config, "layer", {})) if count > 1 else None
tx = optimizers.build(optimizer, lambda _: 1e-3, weight_decay=0.1, gradient_clip=1.0)
learn, state = trainer.start(config, task, tx, seed=0, microbatches=parts, devices=devices)
run = TrainingState(state)
if arguments.start:
    run = from_checkpoint(
        Checkpoint(dict(np.load(arguments.start)), json.loads(arguments.start.with_suffix(".json").read_text())), state
    )
reads: list[int] = []
if arguments.model == "gpt":
    text = corpora.corpus(900, 300)
    read = text.windows

    def counted(first: Any, length: int) -> Any:
        reads.append(len(first))
        return read(first, length)

    text.windows = counted
    feed = WindowLoader(text, seed=0, batch=BATCH, context=16, steps=20, devices=devices)
else:
    feed = ExampleLoader(small_tasks.examples(task, 200), seed=0, batch=BATCH, devices=devices)
state, losses = run.state, []
for data, rows, length in feed.serve(feed.epoch(1), run.taken):
    for row in rows:
        if len(losses) == arguments.steps:
            break
        padded = np.pad(row[None], [(0, 127), (0, 0)])
        state, sums = learn.train_block(state, data, padded, np.int32(1), length)
        found = np.asarray(sums)[0]
        losses.append(float(found[0] / found[1]))
kept = to_checkpoint(run._replace(state=state, taken=run.taken + len(losses)))
largest: Any = max(kept.arrays.values(), key=lambda array: array.size)
host: dict[str, Any] = {name: np.asarray(array) for name, array in kept.arrays.items()}
np.savez(arguments.to, **host)
arguments.to.with_suffix(".json").write_text(json.dumps(kept.facts))
share = largest.addressable_shards[0].data.size / largest.size
found = {"losses": losses, "share": share, "devices": len(largest.sharding.device_set), "read": max(reads, default=0)}
print(json.dumps(found))
