"""What training the language model that params.yaml chooses needs: memory by part, arithmetic, hours.

    python -m pipeline plan [--card h100] [--memory GIB] [--teraflops T] [--utilisation 0.4] [--compile]

It trains nothing and needs seconds. Without --card it is about the device here. A run that would not fit is refused, as
the train stage refuses it, with what to change. --compile compares the estimate with the compiler's own figure.
"""

import argparse
import math
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pipeline.config import paths
from pipeline.config.networks import LanguageModelConfig
from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.config.training import Training
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Corpus
from pipeline.loaders import token_store
from pipeline.loaders.buckets import BLOCK
from pipeline.parallel import device_memory, sharding
from pipeline.runtime.errors import UserError
from pipeline.stages import check
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.training import memory_plan, optimizers
from pipeline.training.memory_plan import GIB, ONE_DEVICE, Plan
from pipeline.training.trainer import State, Trainer, start

A_LARGE_TEXT = 1_000_000  # windows: what a batch size of `auto` is chosen for before preprocess has run


class Card(NamedTuple):
    """GiB, and the peak of 10^12 dense operations a second in bfloat16 and in float32 (as TF32), by the data sheets."""

    memory: float
    bfloat16: float
    float32: float


CARDS = {
    "h200": Card(141e9 / GIB, 989, 494),
    "h100": Card(80e9 / GIB, 989, 494),
    "a100-80": Card(80e9 / GIB, 312, 156),
    "a100-40": Card(40e9 / GIB, 312, 156),
    "l40s": Card(48e9 / GIB, 362, 183),
    "l4": Card(24e9 / GIB, 121, 60),
}


class Choice(NamedTuple):
    """What params.yaml chooses."""

    name: str
    config: LanguageModelConfig
    settings: Training
    vocabulary: int  # before preprocess has run, the largest that it may have
    tokens: int  # in the training split; 0 before preprocess has run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline plan", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--card", choices=CARDS, help="plan for this device, not the one here")
    parser.add_argument("--memory", type=float, help="the device's memory, in GiB")
    parser.add_argument("--teraflops", type=float, help="the device's peak, 10^12 operations a second")
    parser.add_argument("--utilisation", type=float, default=0.4, help="the share of the peak to expect (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="compare the estimate with the compiler's figure")
    arguments = parser.parse_args()
    for name in ("memory", "teraflops", "utilisation"):
        if (value := getattr(arguments, name)) is not None and not 0 < value < math.inf:
            raise UserError(f"--{name}: must be more than 0, and finite")
    if arguments.compile and arguments.card and jax.default_backend() != "gpu":
        raise UserError("--compile asks the compiler for the device here: leave --card out, or run this on a GPU")

    choice = chosen()
    name, config, settings, vocabulary, _ = choice
    sharding.check(settings.mesh or ONE_DEVICE, batch=settings.part, tensor_parallel=config.tensor_parallel)
    trainer, state = abstract_start(config, settings, vocabulary)
    plan = memory_plan.estimate(trainer, state, config, settings, gpu=True if arguments.card else None)
    total = memory_plan.total(plan.memory)
    try:
        steps = steps_per_epoch(choice)
        optimizers.learning_rate(settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=steps)
    except UserError as error:
        raise UserError(f"{paths.PARAMS}: models.{name}.{error}") from error

    print(f"{name} {config.variant}: {plan.parameters:,} parameters, vocabulary {vocabulary:,}")
    print(f"batch {settings.batch_size} x {config.context} tokens", end="")
    print(f", in {settings.microbatches} parts" if settings.microbatches > 1 else "", end="")
    print("; on each device:" if settings.mesh else ":")
    for part, size in plan.memory._asdict().items():
        print(f"  {part:12} {size / GIB:8.3f} GiB")
    print(f"  {'peak':12} {total / GIB:8.3f} GiB")
    if arguments.compile:
        compiled = compiled_bytes(trainer, state, config, settings)
        print(f"  {'compiler':12} {compiled / GIB:8.3f} GiB: the estimate is {total / compiled - 1:+.1%} off")
    print(f"{plan.flops / 1e6:,.1f} million operations per token")
    card = CARDS.get(arguments.card)
    peak = (arguments.teraflops or (getattr(card, config.precision) if card else 0.0)) * 1e12 or measured_peak()
    print_speed(choice, plan, peak, arguments.utilisation)
    memory = arguments.memory or (card.memory if card else device_memory.available() / GIB)
    memory_plan.refuse(plan, memory * GIB, settings, config)
    print(f"fits into {memory:.1f} GiB")


def print_speed(choice: Choice, plan: Plan, peak: float, utilisation: float) -> None:
    """Tokens a second and, where the number of tokens is known, hours. `peak` is one device's operations a second."""
    _, config, settings, _, tokens = choice
    devices = (settings.mesh or ONE_DEVICE).size
    rate = peak * utilisation / plan.flops * devices
    each = f" on each of {devices} devices" if devices > 1 else ""
    print(f"{rate:,.0f} tokens/s at {utilisation:.0%} of {peak / 1e12:,.2f} x 10^12 operations a second{each}")
    if tokens:
        epoch = steps_per_epoch(choice) * settings.batch_size * config.context
        hours = settings.epochs * epoch / rate / 3600
        print(f"{epoch:,} tokens an epoch, {settings.epochs} epochs: {hours:,.2f} hours without validation")


def steps_per_epoch(choice: Choice) -> int:
    """Raises UserError where the text, if its size is known, is too short for one."""
    _, config, settings, _, tokens = choice
    size = tokens or A_LARGE_TEXT * config.context
    per_pass = token_store.steps_per_pass(size, context=config.context, batch=settings.batch_size)
    return settings.epoch_steps or per_pass


def chosen() -> Choice:
    """Raises UserError where params.yaml chooses no language model, or is wrong."""
    found = check.params()
    name, settings, preprocessing = found.file.model, found.model.training, found.dataset.preprocessing
    config: Any = found.model.network
    if found.dataset.inputs != "corpus":
        raise UserError(f"{paths.PARAMS}: plan is for language models only: choose such a dataset, and gpt or rnn")
    if task := check.encoded_corpus(found):
        tokens = sum(task.counts)
        return Choice(name, config, settings.resolved(tokens // config.context), task.outputs, tokens)
    assert isinstance(preprocessing, CorpusPreprocessing)
    return Choice(name, config, settings.resolved(A_LARGE_TEXT), preprocessing.vocabulary, 0)


def abstract_start(config: LanguageModelConfig, settings: Training, vocabulary: int) -> tuple[Trainer, State]:
    """The trainer, and the shapes of its state: no array is allocated."""
    spec = {"tokenizer": "bpe", "vocabulary": vocabulary, "normalisation": "none"}
    inputs = Corpus.model_validate({"settings": spec, "vocabulary": vocabulary})
    task = LanguageModelling(inputs=inputs, counts=(1,))
    optimizer = partial(
        optimizers.build,
        settings.optimizer,
        lambda _: 0.0,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    trainers: list[Trainer] = []

    def initial_state() -> State:
        trainer, state = start(config, task, optimizer, seed=0, microbatches=settings.microbatches)
        trainers.append(trainer)
        return state

    state = jax.eval_shape(initial_state)
    return trainers[0], state


def compiled_bytes(trainer: Trainer, state: State, config: LanguageModelConfig, settings: Training) -> int:
    """The memory that the compiler says a step needs."""
    text = Examples({"tokens": jnp.zeros(1_000, jnp.uint16)}, jnp.zeros(0, jnp.int32), None)
    rows = jax.ShapeDtypeStruct((BLOCK, settings.batch_size), jnp.int32)
    steps = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = Trainer.train_block.lower(trainer, state, text, rows, steps, config.context)  # type: ignore[attr-defined]
    memory: Any = lowered.compile().memory_analysis()
    new = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes + new


def measured_peak() -> float:
    """Operations a second of this device in float32, of a product of two matrices of 4,096 x 4,096."""
    x = jnp.ones((4_096, 4_096))
    product = jax.jit(lambda x: x @ x)
    product(x).block_until_ready()
    began = time.perf_counter()
    for _ in range(3):
        product(x).block_until_ready()
    return 3 * 2 * 4_096**3 / (time.perf_counter() - began)
