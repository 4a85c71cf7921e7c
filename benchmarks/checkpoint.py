"""How long a checkpoint of a large state holds training up.

    python -m benchmarks.checkpoint [--vocabulary 950000] [--saves 5] [--folder /tmp]

Trains a real model whose state (parameters and Adam's two averages) is 1.4 GiB by default, on made-up texts, with the
checkpoints that training writes; and times the saves, the steps beside which one is written, and the others.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from pipeline.config import params
from pipeline.config.networks import LSTMConfig
from pipeline.config.training import Training
from pipeline.evaluation import predictor
from pipeline.loaders.loader import ExampleLoader
from pipeline.runtime.encoders.text_tokenizer import TextSpec
from pipeline.tasks import Examples, TextClassification
from pipeline.training import loop, optimizers, trainer
from pipeline.training.checkpoints.store import Checkpointer
from pipeline.training.state import TrainingState, to_checkpoint

BETWEEN = 6.0  # seconds from the end of one to the next


class Enough(Exception):
    """Ends training."""


class Timed(Checkpointer):
    """So many checkpoints, with a pause between two; notes how long `save` kept its caller."""

    def __init__(self, folder: Path, saves: int) -> None:
        super().__init__(folder, every=0)
        self.saves, self.held = saves, list[float]()
        self.rested = time.perf_counter()

    def writes(self) -> bool:
        return bool(self._writer and self._writer.is_alive())

    def due(self) -> bool:
        if self.writes():
            self.rested = time.perf_counter()
        return time.perf_counter() - self.rested > BETWEEN

    def save(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], *, wait: bool = False) -> None:
        if len(self.held) == self.saves:
            raise Enough
        began = time.perf_counter()
        super().save(name, arrays, facts, wait=wait)
        self.held.append(time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=950_000)
    parser.add_argument("--saves", type=int, default=5)
    parser.add_argument("--folder", help="where to write: another disk gives other figures")
    arguments = parser.parse_args()
    shipped = params.look_up(params.read(), "models.lstm")
    settings = Training(**{**shipped["training"], "epochs": 1_000, "batch_size": 8})
    config = LSTMConfig(**shipped["network"])
    spec = TextSpec(
        tokenizer="words",
        vocabulary=arguments.vocabulary,
        normalisation="none",
        lowercase=False,
        max_length=64,
        keep="start",
    )
    task = TextClassification(
        name="text-classification", text=spec, vocabulary=arguments.vocabulary, labels=("a", "b"), counts=(1, 1)
    )
    rate = optax.constant_schedule(settings.learning_rate)
    tx = optimizers.build(settings.optimizer, rate, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(config, task, tx, seed=0)
    run = TrainingState(state)
    size = sum(array.nbytes for array in to_checkpoint(run).arrays.values())
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    print(f"{parameters:,} parameters, a state of {size / 2**30:.2f} GiB", flush=True)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        keeper = Timed(Path(folder), arguments.saves)
        alone, beside, first = [], [], []
        last, saves, busy = 0.0, 0, False

        def log(facts: dict[str, Any]) -> None:
            """After each step, and before a save may begin."""
            nonlocal last, saves, busy
            now = time.perf_counter()
            if len(keeper.held) > saves:
                first.append(now - last - keeper.held[-1])
            elif last:
                (beside if busy else alone).append(now - last)
            last, saves, busy = now, len(keeper.held), keeper.writes()

        keeper.snapshot.reserve(to_checkpoint(run).arrays)
        loop.DISPATCH = 0.0  # a step a dispatch
        with keeper.only_writer(), suppress(Enough):
            held_out = texts(8, arguments.vocabulary)
            plan = predictor.evaluation_batches(held_out)
            feed = ExampleLoader(texts(50_000, arguments.vocabulary), seed=0, batch=settings.batch_size)
            loop.fit(
                learn,
                run,
                feed,
                lambda params, model_state: predictor.measure(learn.predictor, params, model_state, held_out, plan),
                settings,
                rate,
                keeper=keeper,
                log=log,
            )
    usual = statistics.median(alone)
    for what, found in (("save itself", keeper.held), ("the first step after it", [f - usual for f in first])):
        print(f"{what} held training up for {statistics.median(found):.3f} s, at most {max(found):.3f} s")
    print(f"a step: {usual:.3f} s alone ({len(alone)} of them)", end="")
    print(f", {statistics.median(beside):.3f} s while a checkpoint is written ({len(beside)})" if beside else "")


def texts(count: int, vocabulary: int) -> Examples:
    """Of 64 tokens each."""
    random = np.random.default_rng(0)
    tokens = random.integers(2, vocabulary, 64 * count).astype(np.uint32)
    return Examples({"tokens": tokens}, random.integers(0, 2, count).astype(np.int32), np.arange(count + 1) * 64)


if __name__ == "__main__":
    main()
