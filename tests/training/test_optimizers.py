"""Optimizers and learning-rate schedules: which parameters they are for, and how far they step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pipeline.config.optimizers import AdamW, Cosine, Muon, Step
from pipeline.evaluation.predictor import variables
from pipeline.layers.embedding import Embed
from pipeline.layers.parameters import EmbeddingTable, StackedMatrices, roles
from pipeline.runtime.errors import UserError
from pipeline.training import optimizers


class Network(nnx.Module):
    def __init__(self) -> None:
        self.embeddings = EmbeddingTable(jnp.zeros((9, 4)))
        self.embed = Embed(9, 4, scale=0.0, rngs=nnx.Rngs(0))
        self.table = nnx.Param(jnp.zeros((6, 4)))
        self.stack = StackedMatrices(jnp.zeros((2, 6, 4)))
        self.filters = nnx.Param(jnp.zeros((3, 3, 4, 5)))
        self.bias = nnx.Param(jnp.zeros(4))


def updates(optimizer: Any, gradient: Any, *, start: float = 0.0, weight_decay: float = 0.0) -> Any:
    """The first step, as a tree like the parameters, which are all `start`."""
    model = Network()
    params = jax.tree.map(lambda x: x + start, variables(model, nnx.Param))
    tx = optimizers.build(optimizer, lambda _: 1.0, roles(model), weight_decay=weight_decay, gradient_clip=None)
    return tx.update(gradient(params), tx.init(params), params)[0]


def zeros(params: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, params)


def normal(params: Any) -> Any:
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), params)


def test_schedules():
    cosine = optimizers.learning_rate(1.0, Cosine(name="cosine", warmup=0.5), epochs=2, steps=10)
    assert [np.round(cosine(s), 3) for s in (0, 5, 10, 15, 20)] == [0.0, 0.5, 1.0, 0.5, 0.0]
    step = optimizers.learning_rate(1.0, Step(name="step", epochs=1, factor=0.5), epochs=3, steps=10)
    assert [step(s) for s in (0, 9, 10, 20)] == [1.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("schedule", "epochs", "message"),
    [
        (Cosine(name="cosine", warmup=0.99), 2, "training.schedule.warmup: 0.99 of 20 steps is all of them"),
        (Cosine(name="cosine"), 10**11, "training.epochs: 100,000,000,000 epochs of 10 steps are more than"),
    ],
)
def test_a_schedule_that_no_run_can_have_is_refused(schedule, epochs, message):
    with pytest.raises(UserError, match=message):
        optimizers.learning_rate(1.0, schedule, epochs=epochs, steps=10)


def test_a_change_after_the_end_of_the_run_never_comes():
    step = optimizers.learning_rate(1.0, Step(name="step", epochs=10**11, factor=0.5), epochs=3, steps=10)
    assert step(29) == 1.0


def test_biases_do_not_decay():
    actual = updates(AdamW(name="adamw"), zeros, start=1.0, weight_decay=0.5)
    bias = actual.pop("bias")
    np.testing.assert_array_equal(bias, np.zeros(4))
    for step in jax.tree.leaves(actual):
        np.testing.assert_array_equal(step, np.full(step.shape, -0.5))


def test_muon_steps_are_orthogonal_and_of_adam_s_size():
    """Its singular values are near one another, whatever those of the gradient; a stack is so matrix by matrix. So is a
    user's matrix that is named `table`; an embedding table is not, under any name.
    """
    actual = updates(Muon(name="muon"), normal)
    for step in (actual["table"], *actual["stack"], actual["filters"].reshape(-1, 5)):
        values = np.linalg.svd(step, compute_uv=False) / 0.2 / np.sqrt(max(step.shape))
        assert values.min() > 0.6
        assert values.max() < 1.3
        assert np.sqrt(np.mean(np.square(step))) == pytest.approx(0.2, rel=0.4)
    gradients = normal(actual)
    for pick in (lambda x: x["embeddings"], lambda x: x["embed"]["table"], lambda x: x["bias"]):
        # The first step of Adam goes equally far whatever the gradient but for its sign.
        size = float(jnp.abs(pick(actual)).mean())
        np.testing.assert_allclose(pick(actual), -size * np.sign(pick(gradients)), rtol=1e-4)
