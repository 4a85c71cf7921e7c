"""The optimiser and its learning-rate schedule: sections of params.yaml -> an Optax chain."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from pydantic import NonNegativeFloat, PositiveFloat

from pipeline.config.optimizers import SGD, Adagrad, Adam, AdamW, Constant, Cosine, Muon, Step
from pipeline.layers.parameters import Role, Roles
from pipeline.models.weights import dotted
from pipeline.runtime.errors import UserError

MOST = 2**31 - 1  # steps: they are counted in 32 bits


def learning_rate(peak: float, schedule: Constant | Cosine | Step, *, epochs: int, steps: int) -> optax.Schedule:
    """The learning rate as a function of the step, in a run of so many epochs of so many steps each. Raises UserError
    where the warm-up is all of it, or there are more steps than can be counted.
    """
    if epochs * steps > MOST:
        raise UserError(f"training.epochs: {epochs:,} epochs of {steps:,} steps are more than {MOST:,} steps: lower it")
    match schedule:
        case Constant():
            return optax.constant_schedule(peak)
        case Cosine(warmup=warmup):
            total = epochs * steps
            start = 0.0 if warmup else peak
            return optax.warmup_cosine_decay_schedule(start, peak, schedule.warmup_steps(total), total)
        case Step(epochs=every, factor=factor):
            return optax.exponential_decay(peak, min(every * steps, MOST), factor, staircase=True)


def build(
    optimizer: SGD | Adagrad | Adam | AdamW | Muon,
    rate: optax.Schedule,
    roles: Roles,
    *,
    weight_decay: NonNegativeFloat,
    gradient_clip: PositiveFloat | None,
) -> optax.GradientTransformation:
    """Clips gradients by their global norm, decays weights, optimizes. The parameters' `roles` say which of them weight
    decay and Muon are for.
    """
    decays = _of_each(lambda role: role.decays, roles)
    clip = [optax.clip_by_global_norm(gradient_clip)] if gradient_clip else []
    decay = [optax.add_decayed_weights(weight_decay, mask=decays)] if weight_decay else []
    match optimizer:
        case SGD(momentum=momentum, nesterov=nesterov):
            return optax.chain(*clip, *decay, optax.sgd(rate, momentum or None, nesterov))
        case Adagrad():
            return optax.chain(*clip, *decay, optax.adagrad(rate, initial_accumulator_value=0.0))
        case Adam(b1=b1, b2=b2, eps=eps):
            return optax.chain(*clip, *decay, optax.adam(rate, b1, b2, eps))
        case AdamW(b1=b1, b2=b2, eps=eps):
            return optax.chain(*clip, optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=decays))
        case Muon(momentum=momentum, b2=b2):
            muon = optax.contrib.muon(
                rate,
                beta=momentum,
                weight_decay=weight_decay,
                weight_decay_mask=decays,
                adam_b2=b2,
                adam_weight_decay=weight_decay,
                muon_weight_dimension_numbers=_of_each(_dimensions, roles),
                consistent_rms=0.2,
            )
            return optax.chain(*clip, muon)


def _of_each(f: Callable[[Role], Any], roles: Roles) -> Callable[[Any], Any]:
    """A function from parameters, all of them or some, to a tree like them of `f` of their roles, as Optax wants it."""

    def of_each(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: f(roles[dotted(path)]), params)

    return of_each


def _dimensions(role: Role) -> optax.contrib.MuonDimensionNumbers | None:
    return optax.contrib.MuonDimensionNumbers(*role.matrix) if role.matrix else None
