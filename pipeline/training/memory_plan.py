"""The memory and arithmetic that training a language model takes, estimated without training anything."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import psutil
from flax import nnx

from pipeline.config.networks import GPTConfig
from pipeline.config.training import Mesh, Training
from pipeline.evaluation.predictor import Tree
from pipeline.layers import attention, cross_entropy
from pipeline.runtime.errors import UserError
from pipeline.tasks import Batch
from pipeline.training.trainer import State, Trainer

GIB = 2**30
ALONE = Mesh(data=1, fsdp=1)
SPARE = 0.92  # of the memory: the rest is the program's, and for what a compiler adds


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


def estimate(learn: Trainer, state: State, config: Any, settings: Training, *, gpu: bool | None = None) -> Plan:
    """What a step takes, on a GPU or not; where that is not said, on the device here. `state` may be of shapes alone.

    The activations are what JAX keeps for the gradient when it traces the loss, less the weights among them.
    """
    gpu = jax.default_backend() == "gpu" if gpu is None else gpu
    devices = settings.mesh or ALONE
    group = devices.fsdp * devices.tensor  # among which the state is shared out
    rows = settings.part // (devices.data * devices.fsdp)
    t, k = config.context, learn.predictor.task.num_classes
    half = config.precision == "bfloat16"
    fused = half and gpu and isinstance(config, GPTConfig)
    tokens, valid = (jax.ShapeDtypeStruct((rows, t), kind) for kind in (jnp.int32, jnp.bool_))

    def kept(params: Tree, tokens: jax.Array, valid: jax.Array) -> Any:
        def loss(params: Tree) -> jax.Array:
            model: Any = learn.predictor.model(params, state.model_state)
            if fused:  # a GPU's kernel keeps for the gradient only what goes into it and what comes out
                model.attention = jax.checkpoint(model.attention)
            key = nnx.Rngs(dropout=jax.random.key(0))
            return learn.predictor.loss_sums(model, Batch(tokens, tokens, valid), training=True, rngs=key).loss

        return jax.vjp(loss, params)[1]

    weights = _bytes(state.params)
    parameters = weights // 4
    size = 2 if half else 4
    chunk = min(rows * t, cross_entropy.chunk_size(k, gpu=gpu))
    found = jax.eval_shape(kept, state.params, tokens, valid)
    # Devices that share out a layer have each the whole stream between the layers, and a part of what is inside them.
    stream = _bytes([x for x in jax.tree.leaves(found) if x.shape[-2:] == (t, state.params["table"].shape[-1])])
    inside = max(0, _bytes(found) - weights * size // 4 - stream)
    memory = Memory(
        weights // group,
        _bytes(state.opt_state) // group,
        weights * (2 if settings.microbatches > 1 else 1) // group,
        stream + inside // devices.tensor,
        3 * size * _layer(config, rows, t, fused=half and gpu) // devices.tensor,
        (4 + size) * chunk * k // devices.tensor,
    )
    return Plan(parameters, memory, 6.0 * parameters + attention_operations(config, t) + _again(config, parameters))


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
    if isinstance(config, GPTConfig):
        size = config.size
        return rows * t * 2 * size.inner + (0 if fused else rows * size.heads * t * min(t, attention.BLOCK))
    return rows * t * config.size.width


def attention_operations(config: Any, t: int) -> float:
    """Operations a token: 12 n d t (Chowdhery et al. 2022, arXiv:2204.02311, appendix B)."""
    if not isinstance(config, GPTConfig):
        return 0.0
    size = config.size
    return 12.0 * size.layers * size.width * t


def _again(config: Any, parameters: int) -> float:
    """Operations a token of a second forward pass."""
    return 2.0 * parameters if getattr(config, "remat", "none") == "full" else 0.0


def _bytes(tree: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))
