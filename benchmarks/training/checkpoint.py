"""How long training waits for a checkpoint of a large state.

    python -m benchmarks.training.checkpoint [--vocabulary 950000] [--saves 5] [--folder /tmp]

Trains a real model whose state (parameters and Adam's two averages) is 1.4 GiB by default, on random texts, and writes
the checkpoints that training writes. It times the saves, the steps during which one is written, and the other steps.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import optax

from pipeline.config import params
from pipeline.config.networks import LSTMConfig
from pipeline.config.preprocessing import TextPreprocessing
from pipeline.config.training import Training
from pipeline.evaluation.predictor import evaluation_batches, measure
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Texts
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.loaders.loader import ExampleLoader
from pipeline.tasks.classification import Classification
from pipeline.training import loop, optimizers
from pipeline.training.checkpoints.checkpointer import Checkpointer
from pipeline.training.run import TrainingRun, to_checkpoint
from pipeline.training.trainer import start

BETWEEN = 6.0  # seconds from the end of one to the next


class Enough(Exception):
    """Ends training."""


class Timed(Checkpointer):
    """Saves `saves` checkpoints, with a pause between two, and notes how long each `save` took its caller."""

    def __init__(self, folder: Path, saves: int) -> None:
        super().__init__(folder, every=0)
        self.saves, self.held = saves, list[float]()
        self.rested = time.perf_counter()

    def due(self) -> bool:
        if self.writing():
            self.rested = time.perf_counter()
        return time.perf_counter() - self.rested > BETWEEN

    def save(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], *, wait: bool = False) -> bool:
        if len(self.held) == self.saves:
            raise Enough
        began = time.perf_counter()
        is_saved = super().save(name, arrays, facts, wait=wait)
        self.held.append(time.perf_counter() - began)
        return is_saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=950_000)
    parser.add_argument("--saves", type=int, default=5)
    parser.add_argument("--folder", help="where to write the checkpoints (the disk matters)")
    arguments = parser.parse_args()
    shipped = params.look_up(params.read(), "models.lstm")
    settings = Training(**{**shipped["training"], "epochs": 1_000, "batch_size": 8})
    config = LSTMConfig(**shipped["network"])
    spec = TextPreprocessing(
        tokenizer="words",
        vocabulary=arguments.vocabulary,
        normalisation="none",
        lowercase=False,
        max_length=64,
        keep="start",
    )
    inputs = Texts(settings=spec, vocabulary=arguments.vocabulary)
    task = Classification(inputs=inputs, labels=("a", "b"), counts=(1, 1))
    rate = optax.constant_schedule(settings.learning_rate)
    optimizer = partial(optimizers.build, settings.optimizer, rate, weight_decay=0.0, gradient_clip=None)
    trainer, state = start(config, task, optimizer, seed=0)
    run = TrainingRun(state)
    size = sum(array.nbytes for array in to_checkpoint(run).arrays.values())
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    print(f"{parameters:,} parameters, a state of {size / 2**30:.2f} GiB", flush=True)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        checkpointer = Timed(Path(folder), arguments.saves)
        alone, beside, first = [], [], []
        last, saves, busy = 0.0, 0, False

        def note(figures: dict[str, Any]) -> None:
            """After each step, and before a save may begin."""
            nonlocal last, saves, busy
            now = time.perf_counter()
            if len(checkpointer.held) > saves:
                first.append(now - last - checkpointer.held[-1])
            elif last:
                (beside if busy else alone).append(now - last)
            last, saves, busy = now, len(checkpointer.held), checkpointer.writing()

        log: Any = SimpleNamespace(write=note, progress=note)
        checkpointer.snapshot.reserve(to_checkpoint(run).arrays)
        loop.DISPATCH_SECONDS = 0.0  # a step a dispatch
        with checkpointer.only_writer(), suppress(Enough):
            validation = texts(8, arguments.vocabulary)
            batches = evaluation_batches(validation)
            loader = ExampleLoader(texts(50_000, arguments.vocabulary), seed=0, batch=settings.batch_size)
            loop.fit(
                trainer,
                run,
                loader,
                partial(measure, trainer.predictor, data=DeviceExamples(validation), batches=batches),
                loop.Monitor("loss", rises=False),
                settings,
                rate,
                checkpointer=checkpointer,
                log=log,
            )
    usual = statistics.median(alone)
    for what, seconds in (
        ("the save itself", checkpointer.held),
        ("the first step after it", [f - usual for f in first]),
    ):
        print(f"training waited {statistics.median(seconds):.3f} s for {what}, at most {max(seconds):.3f} s")
    print(f"a step: {usual:.3f} s alone ({len(alone)} of them)", end="")
    print(f", {statistics.median(beside):.3f} s while a checkpoint is written ({len(beside)})" if beside else "")


def texts(count: int, vocabulary: int) -> Examples:
    """Of 64 tokens each."""
    random = np.random.default_rng(0)
    tokens = random.integers(2, vocabulary, 64 * count).astype(np.uint32)
    return Examples({"tokens": tokens}, random.integers(0, 2, count).astype(np.int32), np.arange(count + 1) * 64)


if __name__ == "__main__":
    main()
