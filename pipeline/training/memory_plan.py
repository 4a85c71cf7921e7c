"""The memory and arithmetic that training a language model needs, estimated without training anything."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from pipeline.config.networks import GPTConfig, LanguageModelConfig
from pipeline.config.training import Mesh, Training
from pipeline.evaluation.predictor import Tree
from pipeline.examples.batch import Batch
from pipeline.layers import attention, cross_entropy
from pipeline.runtime.errors import UserError
from pipeline.training.trainer import State, Trainer

GIB = 2**30
ONE_DEVICE = Mesh(data=1, fsdp=1)
USABLE = 0.92  # of the memory: the rest is for the program, and for what a compiler adds
FLOAT32 = 4  # bytes


class Memory(NamedTuple):
    """Bytes on each device at the peak, while the gradient of a layer is computed."""

    weights: int
    optimiser: int
    gradients: int
    activations: int  # of the forward pass, for the backward pass
    working: int  # of the current layer
    logits: int  # of a chunk of tokens, with their gradient
    best: int = 0  # the weights of the best epoch so far


class Plan(NamedTuple):
    parameters: int
    memory: Memory
    flops: float  # per token: forward pass, backward pass, and what is recomputed


def estimate(
    trainer: Trainer, state: State, config: LanguageModelConfig, settings: Training, *, gpu: bool | None = None
) -> Plan:
    """What a step needs on a GPU or on a CPU; by default, on the device here. `state` may hold shapes only.

    The activations are what JAX stores for the gradient when it traces the loss, less the weights among them.
    """
    gpu = jax.default_backend() == "gpu" if gpu is None else gpu
    mesh = settings.mesh or ONE_DEVICE
    state_shards = mesh.fsdp * mesh.tensor
    rows = settings.part // (mesh.data * mesh.fsdp)
    t, k = config.context, trainer.predictor.task.outputs
    half = config.precision == "bfloat16"
    fused = half and gpu and isinstance(config, GPTConfig)  # attention is one kernel
    tokens, valid = (jax.ShapeDtypeStruct((rows, t), kind) for kind in (jnp.int32, jnp.bool_))

    def residuals(params: Tree, tokens: jax.Array, valid: jax.Array) -> Any:
        """What the backward pass needs of the forward pass."""

        def loss(params: Tree) -> jax.Array:
            model: Any = trainer.predictor.model(params, state.model_state)
            if fused:  # the kernel stores only its inputs and outputs for the gradient
                model.attention = jax.checkpoint(model.attention, static_argnums=3)
            rngs = nnx.Rngs(dropout=jax.random.key(0))
            return trainer.predictor.task.loss_sums(model, Batch(tokens, tokens, valid), training=True, rngs=rngs).loss

        return jax.vjp(loss, params)[1]

    weights = _bytes(state.params)
    parameters = weights // FLOAT32
    size = 2 if half else FLOAT32
    chunk = min(rows * t, cross_entropy.chunk_size(k, gpu=gpu))
    stored = jax.eval_shape(residuals, state.params, tokens, valid)
    # Devices along `tensor` each store the whole residual stream between the layers, and a part of what is in a layer.
    width = state.params["table"].shape[-1]
    stream = _bytes([x for x in jax.tree.leaves(stored) if x.shape[-2:] == (t, width)])
    inside = max(0, _bytes(stored) - weights * size // FLOAT32 - stream)
    if fused and _remat(config) == "dots":  # which keeps what the kernel gives
        inside += size * config.size.layers * rows * t * width
    memory = Memory(
        weights=weights // state_shards,
        optimiser=_bytes(state.opt_state) // state_shards,
        gradients=weights * (2 if settings.microbatches > 1 else 1) // state_shards,
        activations=stream + inside // mesh.tensor,
        working=3 * size * _largest_in_layer(config, rows, t, fused=fused) // mesh.tensor,
        logits=(FLOAT32 + size) * chunk * k // mesh.tensor,
        best=weights // state_shards if settings.epochs > 1 else 0,
    )
    recomputed = 2.0 * parameters if _remat(config) == "full" else 0.0  # a second forward pass
    return Plan(parameters, memory, 6.0 * parameters + attention_flops(config, t) + recomputed)


def total(memory: Memory) -> int:
    """The peak. Logits and the layers' gradients are never in memory at once."""
    return sum(memory) - min(memory.logits, memory.working + memory.gradients)


def refuse(plan: Plan, memory: float, settings: Training, config: LanguageModelConfig) -> None:
    """Raises UserError where a run does not fit into `memory` bytes, with what to change."""
    needed = total(plan.memory)
    if needed <= USABLE * memory:
        return
    state = plan.memory.weights + plan.memory.optimiser + plan.memory.gradients + plan.memory.best
    recomputes_all = _remat(config) in ("full", None)
    if state > USABLE * memory:
        cure = "choose a smaller variant: weights, optimiser and gradients alone are too large"
    elif settings.batch_size > settings.microbatches:
        cure = f"raise training.microbatches (now {settings.microbatches}) or lower training.batch_size"
        cure += "" if recomputes_all else ", or set network.remat to full"
    elif not recomputes_all:
        cure = "set network.remat to full"
    else:
        cure = "lower network.context"
    raise UserError(f"this run needs about {needed / GIB:.1f} GiB, and the device has {memory / GIB:.1f}: {cure}")


def attention_flops(config: LanguageModelConfig, t: int) -> float:
    """Operations of attention per token: 12 n d t (Chowdhery et al. 2022, arXiv:2204.02311, appendix B)."""
    return 12.0 * config.size.layers * config.size.width * t if isinstance(config, GPTConfig) else 0.0


def _largest_in_layer(config: LanguageModelConfig, rows: int, t: int, *, fused: bool) -> int:
    """Elements of the largest arrays in a layer."""
    if isinstance(config, GPTConfig):
        scores = 0 if fused else rows * config.size.heads * t * min(t, attention.BLOCK)
        return rows * t * 2 * config.size.inner + scores
    return rows * t * config.size.width


def _remat(config: LanguageModelConfig) -> str | None:
    return config.remat if isinstance(config, GPTConfig) else None


def _bytes(tree: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))
