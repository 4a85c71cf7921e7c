"""The optimiser and its learning-rate schedule: sections of params.yaml -> an Optax chain."""

from typing import Any

import jax
import optax
from pydantic import NonNegativeFloat, PositiveFloat

from pipeline.config.optimizers import SGD, Adam, AdamW, Constant, Cosine, Muon, Step

ROWS = ("table", "taps")  # matrices whose rows are vectors of their own


def learning_rate(peak: float, schedule: Constant | Cosine | Step, *, epochs: int, steps: int) -> optax.Schedule:
    """The learning rate as a function of the step, in a run of so many epochs of so many steps each."""
    match schedule:
        case Constant():
            return optax.constant_schedule(peak)
        case Cosine(warmup=warmup):
            total = epochs * steps
            return optax.warmup_cosine_decay_schedule(0.0 if warmup else peak, peak, round(warmup * total), total)
        case Step(epochs=every, factor=factor):
            return optax.exponential_decay(peak, every * steps, factor, staircase=True)


def build(
    optimizer: SGD | Adam | AdamW | Muon,
    rate: optax.Schedule,
    *,
    weight_decay: NonNegativeFloat,
    gradient_clip: PositiveFloat | None,
) -> optax.GradientTransformation:
    """Clip by the global norm, decay, optimise. Only matrices and kernels decay: no bias, no scale of a norm."""
    clip = [optax.clip_by_global_norm(gradient_clip)] if gradient_clip else []
    decay = [optax.add_decayed_weights(weight_decay, mask=_kernels)] if weight_decay else []
    match optimizer:
        case SGD(momentum=momentum, nesterov=nesterov):
            return optax.chain(*clip, *decay, optax.sgd(rate, momentum or None, nesterov))
        case Adam(b1=b1, b2=b2, eps=eps):
            return optax.chain(*clip, *decay, optax.adam(rate, b1, b2, eps))
        case AdamW(b1=b1, b2=b2, eps=eps):
            return optax.chain(*clip, optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=_kernels))
        case Muon(momentum=momentum, b2=b2):
            muon = optax.contrib.muon(
                rate,
                beta=momentum,
                weight_decay=weight_decay,
                weight_decay_mask=_kernels,
                adam_b2=b2,
                adam_weight_decay=weight_decay,
                muon_weight_dimension_numbers=_matrices,
                consistent_rms=0.2,
            )
            return optax.chain(*clip, muon)


def _matrices(params: Any) -> Any:
    """Which axes of each array are a matrix's rows and columns; None for one that is no matrix.

    A `kernel` has the outputs last, and as inputs all other axes, as of a convolution. Of another array, the first axis
    of three or more stacks matrices; then come the inputs, and all that is left are outputs.
    """

    def axes(path: Any, array: Any) -> Any:
        name = str(getattr(path[-1], "key", ""))
        if array.ndim < 2 or name in ROWS:
            return None
        if name == "kernel":
            return optax.contrib.MuonDimensionNumbers(tuple(range(array.ndim - 1)), array.ndim - 1)
        inputs = min(1, array.ndim - 2)
        return optax.contrib.MuonDimensionNumbers(inputs, tuple(range(inputs + 1, array.ndim)))

    return jax.tree_util.tree_map_with_path(axes, params)


def _kernels(params: Any) -> Any:
    return jax.tree.map(lambda array: array.ndim > 1, params)
