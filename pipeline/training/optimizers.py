"""The optimiser and its learning-rate schedule: sections of params.yaml -> an Optax chain."""

from typing import Annotated, Any, Literal

import jax
import optax
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from pipeline.config.params import Section

ROWS = ("table", "taps")  # matrices whose rows are vectors of their own
Share = Annotated[float, Field(ge=0, lt=1)]


class SGD(Section):
    """Gradient descent with momentum (Sutskever et al. 2013), classical or Nesterov's."""

    name: Literal["sgd"]
    momentum: Share = 0.0
    nesterov: bool = False


class Adam(Section):
    """Kingma and Ba 2015, arXiv:1412.6980. Weight decay joins the gradient, as in the paper's reading of L2."""

    name: Literal["adam"]
    b1: Share = 0.9
    b2: Share = 0.999
    eps: PositiveFloat = 1e-8


class AdamW(Section):
    """Loshchilov and Hutter 2019, arXiv:1711.05101: weight decay beside the gradient, scaled by the learning rate."""

    name: Literal["adamw"]
    b1: Share = 0.9
    b2: Share = 0.999
    eps: PositiveFloat = 1e-8


class Muon(Section):
    """Jordan et al. 2024 (kellerjordan.github.io/posts/muon): a matrix's averaged gradient is made orthogonal, nearly,
    before it is taken as a step, of AdamW's size (Liu et al. 2025, arXiv:2502.16982). AdamW takes what is no matrix,
    and tables of rows that are looked up.
    """

    name: Literal["muon"]
    momentum: Share = 0.95
    b2: Share = 0.95  # of AdamW, for the rest; its b1 is 0.9


class Constant(Section):
    name: Literal["constant"]


class Cosine(Section):
    """Linear from 0 over the share `warmup` of all steps, then half a cosine down to 0 (arXiv:1608.03983)."""

    name: Literal["cosine"]
    warmup: Share = 0.0


class Step(Section):
    """Times `factor` after every `epochs`."""

    name: Literal["step"]
    epochs: PositiveInt
    factor: Annotated[float, Field(gt=0, lt=1)]


Optimizer = Annotated[SGD | Adam | AdamW | Muon, Field(discriminator="name")]
Schedule = Annotated[Constant | Cosine | Step, Field(discriminator="name")]


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
