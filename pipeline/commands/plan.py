"""What it takes to train the language model that params.yaml chooses: memory by part, arithmetic, hours.

    python -m pipeline plan [--card h100] [--memory GIB] [--teraflops T] [--utilisation 0.4] [--compile]

Nothing is trained, and it takes seconds. Without a card, it speaks of the device that is here. A run that would not fit
is refused, as the train stage refuses it, with what to turn. --compile holds the estimate to what the compiler says.
"""

import argparse
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pipeline import tasks
from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.config.networks import NETWORKS, LanguageModelConfig
from pipeline.config.section import validate
from pipeline.config.training import Training
from pipeline.loaders import token_store
from pipeline.loaders.buckets import BLOCK
from pipeline.parallel import sharding
from pipeline.runtime.errors import UserError
from pipeline.tasks import Examples, LanguageModelling
from pipeline.training import optimizers, trainer
from pipeline.training.memory_plan import ALONE, GIB, available, estimate, refuse, total
from pipeline.training.trainer import State, Trainer


class Card(NamedTuple):
    """Memory in GiB; 10^12 operations a second in bfloat16 and, as TF32, in float32, dense: the makers' data sheets."""

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


def compiled(learn: Trainer, state: State, config: Any, settings: Training) -> int:
    """The bytes that the compiler says a step takes."""
    text = Examples({"tokens": jnp.zeros(1_000, jnp.uint16)}, jnp.zeros(0, jnp.int32), None)
    rows = jax.ShapeDtypeStruct((BLOCK, settings.batch_size), jnp.int32)
    steps = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = Trainer.train_block.lower(learn, state, text, rows, steps, config.context)  # type: ignore[attr-defined]
    found: Any = lowered.compile().memory_analysis()
    new = found.output_size_in_bytes - found.alias_size_in_bytes
    return found.argument_size_in_bytes + found.temp_size_in_bytes + new


def measured() -> float:
    """Operations a second of this device, in float32: a product of two matrices of 4,096 x 4,096."""
    x = jnp.ones((4_096, 4_096))
    product = jax.jit(lambda x: x @ x)
    product(x).block_until_ready()
    began = time.perf_counter()
    for _ in range(3):
        product(x).block_until_ready()
    return 3 * 2 * 4_096**3 / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline plan", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--card", choices=CARDS, help="a device that is not here")
    parser.add_argument("--memory", type=float, help="of the device, in GiB")
    parser.add_argument("--teraflops", type=float, help="the device's peak, 10^12 operations a second")
    parser.add_argument(
        "--utilisation", type=float, default=0.4, help="the share of the peak to count on (default 0.4)"
    )
    parser.add_argument("--compile", action="store_true", help="hold the estimate to what the compiler says")
    arguments = parser.parse_args()

    if arguments.compile and arguments.card and jax.default_backend() != "gpu":
        raise UserError("--compile asks the compiler for the device here: leave --card out, or run this on a GPU")

    name, config, settings, vocabulary, tokens = chosen()
    sharding.check(settings.mesh or ALONE, batch=settings.part, tensor_parallel=config.tensor_parallel)
    learn, state = shapes(config, settings, vocabulary)
    plan = estimate(learn, state, config, settings, gpu=True if arguments.card else None)

    print(f"{name} {config.variant}: {plan.parameters:,} parameters, vocabulary {vocabulary:,}")
    print(f"batch {settings.batch_size} x {config.context} tokens", end="")
    print(f", in {settings.microbatches} parts" if settings.microbatches > 1 else "", end="")
    print("; on each device:" if settings.mesh else ":")
    for part, size in plan.memory._asdict().items():
        print(f"  {part:12} {size / GIB:8.3f} GiB")
    print(f"  {'at most':12} {total(plan.memory) / GIB:8.3f} GiB")
    if arguments.compile:
        said = compiled(learn, state, config, settings)
        print(f"  {'compiler':12} {said / GIB:8.3f} GiB: the estimate is {total(plan.memory) / said - 1:+.1%} off")
    print(f"{plan.flops / 1e6:,.1f} million operations a token")

    card = CARDS.get(arguments.card)
    peak = (arguments.teraflops or (getattr(card, config.precision) if card else 0.0)) * 1e12 or measured()
    devices = (settings.mesh or ALONE).size
    rate = peak * arguments.utilisation / plan.flops * devices
    of_peak = f"at {arguments.utilisation:.0%} of {peak / 1e12:,.2f} x 10^12 operations a second"
    of_peak += f" on each of {devices} devices" if devices > 1 else ""
    print(f"{rate:,.0f} tokens/s {of_peak}")
    if tokens:
        steps = settings.epoch_steps or token_store.steps_per_pass(
            tokens, context=config.context, batch=settings.batch_size
        )
        epoch = steps * settings.batch_size * config.context
        hours = settings.epochs * epoch / rate / 3600
        print(f"{epoch:,} tokens an epoch, {settings.epochs} epochs: {hours:,.2f} hours, validation not counted")
    memory = arguments.memory or (card.memory if card else available() / GIB)
    refuse(plan, memory * GIB, settings, config)
    print(f"fits into {memory:.1f} GiB")


def chosen() -> tuple[str, LanguageModelConfig, Training, int, int]:
    """Model, network and training settings that params.yaml chooses, and the text's vocabulary and tokens; 0 tokens
    before preprocess has run, and the largest vocabulary that it may come to. Raises UserError.
    """
    content = yaml.read()
    name, dataset = (str(content.get(key)) for key in ("model", "dataset"))
    section = yaml.look_up(content, f"datasets.{dataset}")
    if section.get("task") != "language-modelling" or name not in NETWORKS:
        raise UserError(f"{paths.PARAMS}: the plan is for language models: choose such a dataset, and gpt or rnn")
    settings = validate(Training, yaml.look_up(content, f"models.{name}.training"), under=f"models.{name}.training")
    network: Any = validate(
        NETWORKS[name], yaml.look_up(content, f"models.{name}.network"), under=f"models.{name}.network"
    )
    there = paths.FEATURES / "task.json"
    if there.exists():
        task = tasks.read(there)
        if isinstance(task, LanguageModelling) and task.text.model_dump() == section["preprocessing"]:
            return name, network, settings, task.vocabulary, sum(task.counts)
    return name, network, settings, int(section["preprocessing"]["vocabulary"]), 0


def shapes(config: Any, settings: Training, vocabulary: int) -> tuple[Trainer, State]:
    """The learner, and the shapes of its state: no array is made."""
    spec = {"tokenizer": "bpe", "vocabulary": vocabulary, "normalisation": "none"}
    task = LanguageModelling.model_validate(
        {"name": "language-modelling", "text": spec, "vocabulary": vocabulary, "counts": [1]}
    )
    tx = optimizers.build(
        settings.optimizer,
        lambda _: 0.0,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    found: list[Trainer] = []

    def make() -> State:
        learn, state = trainer.start(config, task, tx, seed=0, microbatches=settings.microbatches)
        found.append(learn)
        return state

    state = jax.eval_shape(make)
    return found[0], state
