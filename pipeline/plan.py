"""What it takes to train the language model that params.yaml chooses: memory by part, arithmetic, hours.

    python -m pipeline.plan [--card h100] [--memory GIB] [--teraflops T] [--utilisation 0.4] [--compile]

Nothing is trained, and it takes seconds. Without a card, it speaks of the device that is here. A run that would not fit
is refused, as the train stage refuses it, with what to turn. --compile holds the estimate to what the compiler says.
"""

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import psutil
from flax import nnx

from pipeline import corpus, cross_entropy, errors, learner, mesh, optim, paths, tasks
from pipeline import params as yaml
from pipeline.batches import BLOCK
from pipeline.errors import UserError
from pipeline.learner import Learner, State
from pipeline.mesh import Mesh
from pipeline.models import CONFIGS, gpt, rnn
from pipeline.tasks import Batch, Examples, LanguageModelling
from pipeline.training import Training

GIB = 2**30
ALONE = Mesh(data=1, fsdp=1)
SPARE = 0.92  # of the memory: the rest is the program's, and for what a compiler adds


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


class Memory(NamedTuple):
    """Bytes on each device when they are the most: while the gradient of a layer is computed."""

    weights: int
    optimiser: int
    gradients: int
    activations: int  # what the backward pass needs of the forward one
    working: int  # for the layer at hand
    logits: int  # of a chunk of tokens, with their gradient


class Plan(NamedTuple):
    parameters: int
    memory: Memory
    flops: float  # a token: forward, backward, and what is computed twice


def estimate(learn: Learner, state: State, config: Any, settings: Training, *, gpu: bool | None = None) -> Plan:
    """What a step takes, on a GPU or not; where that is not said, on the device here. `state` may be of shapes alone.

    The activations are what JAX keeps for the gradient when it traces the loss, less the weights among them.
    """
    gpu = jax.default_backend() == "gpu" if gpu is None else gpu
    devices = settings.mesh or ALONE
    group = devices.fsdp * devices.tensor  # among which the state is shared out
    rows = settings.part // (devices.data * devices.fsdp)
    t, k = config.context, learn.task.num_classes
    tokens, valid = (jax.ShapeDtypeStruct((rows, t), kind) for kind in (jnp.int32, jnp.bool_))

    def kept(params: learner.Tree, tokens: jax.Array, valid: jax.Array) -> Any:
        def loss(params: learner.Tree) -> jax.Array:
            model = learn.model(params, state.rest)
            key = nnx.Rngs(dropout=jax.random.key(0))
            return learn.scored(model, Batch(tokens, tokens, valid), training=True, rngs=key).loss

        return jax.vjp(loss, params)[1]

    weights = _bytes(state.params)
    parameters = weights // 4
    half = config.precision == "bfloat16"
    size = 2 if half else 4
    chunk = min(rows * t, cross_entropy.chunk_size(k, gpu=gpu))
    with _fused_attention() if half and gpu else nullcontext():
        found = jax.eval_shape(kept, state.params, tokens, valid)
    # Devices that share out a layer have each the whole stream between the layers, and a part of what is inside them.
    stream = _bytes([x for x in jax.tree.leaves(found) if x.shape[-2:] == (t, state.params["table"].shape[-1])])
    inside = max(0, _bytes(found) - weights * size // 4 - stream)
    memory = Memory(
        weights // group,
        _bytes(state.opt) // group,
        weights * (2 if settings.microbatches > 1 else 1) // group,
        stream + inside // devices.tensor,
        3 * size * _layer(config, rows, t, fused=half and gpu) // devices.tensor,
        (4 + size) * chunk * k // devices.tensor,
    )
    return Plan(parameters, memory, 6.0 * parameters + attention_operations(config, t) + _again(config, parameters))


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Meanwhile the transformer's attention keeps what a GPU's kernel does: what goes into it and what comes out."""
    usual, gpt.attention = gpt.attention, jax.checkpoint(gpt.attention)
    try:
        yield
    finally:
        gpt.attention = usual


def total(memory: Memory) -> int:
    """The logits are gone when the layers' gradients are computed, and these are not there yet while the logits are."""
    return sum(memory) - min(memory.logits, memory.working + memory.gradients)


def refuse(plan: Plan, memory: float, settings: Training, config: Any) -> None:
    """Raises UserError where a run does not fit into so many bytes."""
    takes = total(plan.memory)
    if takes <= SPARE * memory:
        return
    state = plan.memory.weights + plan.memory.optimiser + plan.memory.gradients
    if state > SPARE * memory:
        cure = "choose a smaller variant: weights, optimiser and gradients alone are too much"
    elif settings.batch_size > settings.microbatches:
        cure = f"raise training.microbatches (now {settings.microbatches}) or lower training.batch_size"
        cure += ", or set network.remat to full" if getattr(config, "remat", "full") != "full" else ""
    elif getattr(config, "remat", "full") != "full":
        cure = "set network.remat to full"
    else:
        cure = "lower network.context"
    raise UserError(f"this run takes about {takes / GIB:.1f} GiB, and the device has {memory / GIB:.1f}: {cure}")


def available() -> float:
    """Bytes that the device here has for training."""
    stats = jax.local_devices()[0].memory_stats()
    return float(stats["bytes_limit"]) if stats else float(psutil.virtual_memory().available)


def _layer(config: Any, rows: int, t: int, *, fused: bool) -> int:
    """Numbers in the largest arrays of a layer."""
    if isinstance(config, gpt.Config):
        size = gpt.VARIANTS[config.variant]
        return rows * t * 2 * size.inner + (0 if fused else rows * size.heads * t * min(t, gpt.BLOCK))
    return rows * t * rnn.VARIANTS[config.cell, config.variant].width


def attention_operations(config: Any, t: int) -> float:
    """Operations a token: 12 n d t (Chowdhery et al. 2022, arXiv:2204.02311, appendix B)."""
    if not isinstance(config, gpt.Config):
        return 0.0
    size = gpt.VARIANTS[config.variant]
    return 12.0 * size.layers * size.width * t


def _again(config: Any, parameters: int) -> float:
    """Operations a token of a second forward pass."""
    return 2.0 * parameters if getattr(config, "remat", "none") == "full" else 0.0


def _bytes(tree: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def compiled(learn: Learner, state: State, config: Any, settings: Training) -> int:
    """The bytes that the compiler says a step takes."""
    text = Examples({"tokens": jnp.zeros(1_000, jnp.uint16)}, jnp.zeros(0, jnp.int32), None)
    rows = jax.ShapeDtypeStruct((BLOCK, settings.batch_size), jnp.int32)
    steps = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = Learner.train_block.lower(learn, state, text, rows, steps, config.context)  # type: ignore[attr-defined]
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
    parser = argparse.ArgumentParser(prog="python -m pipeline.plan", description=(__doc__ or "").partition("\n")[0])
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

    name, network, settings, vocabulary, tokens = chosen()
    config = yaml.validate(CONFIGS[name], network, under=f"models.{name}.network")
    mesh.check(settings.mesh or ALONE, batch=settings.part, layer=getattr(config, "layer", {}))
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
        steps = settings.epoch_steps or corpus.steps_a_pass(tokens, context=config.context, batch=settings.batch_size)
        epoch = steps * settings.batch_size * config.context
        hours = settings.epochs * epoch / rate / 3600
        print(f"{epoch:,} tokens an epoch, {settings.epochs} epochs: {hours:,.2f} hours, validation not counted")
    memory = arguments.memory or (card.memory if card else available() / GIB)
    refuse(plan, memory * GIB, settings, config)
    print(f"fits into {memory:.1f} GiB")


def chosen() -> tuple[str, dict[str, Any], Training, int, int]:
    """Model, network and training settings that params.yaml chooses, and the text's vocabulary and tokens; 0 tokens
    before preprocess has run, and the largest vocabulary that it may come to. Raises UserError.
    """
    content = yaml.read()
    name, dataset = (str(content.get(key)) for key in ("model", "dataset"))
    section = yaml.look_up(content, f"datasets.{dataset}")
    if section.get("task") != "language-modelling" or name not in CONFIGS:
        raise UserError(f"{paths.PARAMS}: the plan is for language models: choose such a dataset, and gpt or rnn")
    settings = yaml.validate(
        Training, yaml.look_up(content, f"models.{name}.training"), under=f"models.{name}.training"
    )
    network = yaml.look_up(content, f"models.{name}.network")
    there = paths.FEATURES / "task.json"
    if there.exists():
        task = tasks.read(there)
        if isinstance(task, LanguageModelling) and task.text.model_dump() == section["preprocessing"]:
            return name, network, settings, task.vocabulary, sum(task.counts)
    return name, network, settings, int(section["preprocessing"]["vocabulary"]), 0


def shapes(config: Any, settings: Training, vocabulary: int) -> tuple[Learner, State]:
    """The learner, and the shapes of its state: no array is made."""
    spec = {"tokenizer": "bpe", "vocabulary": vocabulary, "normalisation": "none"}
    task = LanguageModelling.model_validate(
        {"name": "language-modelling", "text": spec, "vocabulary": vocabulary, "counts": [1]}
    )
    tx = optim.build(
        settings.optimizer,
        lambda _: 0.0,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )
    found: list[Learner] = []

    def make() -> State:
        learn, state = learner.start(config, task, tx, seed=0, microbatches=settings.microbatches)
        found.append(learn)
        return state

    state = jax.eval_shape(make)
    return found[0], state


if __name__ == "__main__":
    errors.run(main)
