"""Rows that are looked up train as in the whole table, and only they are touched."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_tasks
from flax import nnx
from networks import batch, config

from pipeline import models
from pipeline.config.optimizers import SGD, Adagrad, Adam, AdamW, Muon
from pipeline.examples.loss import cross_entropy
from pipeline.layers import embedding
from pipeline.layers.embedding import Embed
from pipeline.training import optimizers, trainer

TASK = small_tasks.texts()
SOME = batch(TASK, small_tasks.examples(TASK, 6))


@partial(jax.jit, static_argnums=0)
def dense_step(learn: trainer.Trainer, state: trainer.State) -> trainer.State:
    """The same step with the gradient of the whole table."""

    def loss(params: Any) -> jax.Array:
        model = learn.predictor.model(params, state.model_state)
        sums = cross_entropy(model(SOME.inputs, training=True, rngs=nnx.Rngs(dropout=0)), SOME)  # type: ignore[operator]
        return sums.loss / sums.weight

    updates, opt = learn.tx.update(jax.grad(loss)(state.params), state.opt_state, state.params)
    return trainer.State(state.step + 1, optax.apply_updates(state.params, updates), state.model_state, opt)  # type: ignore[arg-type]


def begin(optimizer: trainer.MakeOptimizer, name: str = "textcnn") -> tuple[trainer.Trainer, trainer.State]:
    return trainer.start(config(name), TASK, optimizer, seed=0)


def close(a: Any, b: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


@pytest.mark.parametrize(
    ("name", "kind", "clip"),
    [
        ("linear", SGD(name="sgd"), 0.01),
        ("linear", Adagrad(name="adagrad"), None),
        pytest.param("textcnn", SGD(name="sgd"), 0.01, marks=pytest.mark.long),
    ],
)
def test_equals_the_dense_optimizer(name, kind, clip):
    """In both, a row that is not looked up stands still."""
    optimizer = partial(optimizers.build, kind, lambda _: 0.1, weight_decay=0.0, gradient_clip=clip)
    learn, one = begin(optimizer, name)
    _, other = begin(optimizer, name)
    step = jax.jit(learn.train_step)
    for _ in range(3):
        one, _ = step(one, SOME)
        other = dense_step(learn, other)
    close(one.params, other.params)


@pytest.mark.parametrize("kind", [Adam(name="adam"), AdamW(name="adamw"), Muon(name="muon")])
def test_rows_that_are_not_looked_up_stand_still(kind):
    optimizer = partial(optimizers.build, kind, lambda _: 0.1, weight_decay=0.1, gradient_clip=1.0)
    learn, start = begin(optimizer)
    after, _ = jax.jit(learn.train_step)(start, SOME)
    used = np.unique(np.asarray(SOME.inputs))
    others = np.setdiff1d(np.arange(50), used)
    before, now = (np.asarray(state.params["embed"]["table"]) for state in (start, after))
    np.testing.assert_array_equal(now[others], before[others])
    assert (now[used] != before[used]).any(1).all()
    moments = [leaf for leaf in jax.tree.leaves(after.opt_state) if leaf.shape == before.shape]
    assert len(moments) == 2
    assert not any(np.asarray(moment)[others].any() for moment in moments)


def test_the_first_step_of_adam_equals_the_dense_one():
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    learn, start = begin(optimizer)
    one, _ = jax.jit(learn.train_step)(start, SOME)
    close(one.params, dense_step(learn, start).params)


def test_adam_equals_the_dense_one_for_rows_that_each_step_looks_up():
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.01, weight_decay=0.0, gradient_clip=None)
    learn, one = begin(optimizer)
    other = one
    step = jax.jit(learn.train_step)
    for _ in range(3):
        one, _ = step(one, SOME)
        other = dense_step(learn, other)
    used = np.unique(np.asarray(SOME.inputs))
    close(one.params["embed"]["table"][used], other.params["embed"]["table"][used])
    close(one.params["head"], other.params["head"])


def test_a_row_and_its_averages_wait_for_the_next_time():
    """Dense Adam would move a row on by what it remembers of the row's last gradient."""
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    learn, state = begin(optimizer)
    step = jax.jit(learn.train_step)
    first, _ = step(state, SOME._replace(inputs=jnp.full_like(SOME.inputs, 7)))  # type: ignore[arg-type]
    second, _ = step(first, SOME._replace(inputs=jnp.full_like(SOME.inputs, 8)))  # type: ignore[arg-type]
    shape = first.params["embed"]["table"].shape
    for before, after in zip(
        jax.tree.leaves((first.params, first.opt_state)), jax.tree.leaves((second.params, second.opt_state))
    ):
        if before.shape == shape:
            assert np.asarray(before)[7].any()
            np.testing.assert_array_equal(after[7], before[7])
            assert not np.array_equal(after[8], before[8])


class Twice(nnx.Module):
    """Looks up one table two times."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = Embed(50, 5, rngs=rngs)

    def __call__(self, tokens: Any, *, training: bool = False, rngs: nnx.Rngs | None = None) -> Any:
        return (self.embed(tokens) * self.embed(tokens[:, ::-1])).sum(1)


def test_lookups_are_recorded_in_order_and_replaced_in_order():
    model, tokens = Twice(nnx.Rngs(0)), jnp.asarray(SOME.inputs)
    expected = model(tokens)
    lookups = embedding.record_lookups(model)
    np.testing.assert_array_equal(model(tokens), expected)
    (name,) = lookups
    assert name == "embed.table"
    for lookup, ids in zip(lookups[name], (tokens, tokens[:, ::-1]), strict=True):
        np.testing.assert_array_equal(lookup.ids, ids)
        np.testing.assert_array_equal(lookup.rows, model.embed.table[...][ids])
    embedding.replace_rows(model, {name: [jnp.ones_like(lookup.rows) for lookup in lookups[name]]})
    np.testing.assert_array_equal(model(tokens), jnp.full((6, 5), float(tokens.shape[1])))


def test_a_table_that_is_looked_up_twice(monkeypatch):
    monkeypatch.setitem(models.BUILDERS, "linear", lambda config, inputs, outputs, rngs: Twice(rngs))
    optimizer = partial(optimizers.build, SGD(name="sgd"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(config("linear"), TASK, optimizer, seed=0)
    close(jax.jit(learn.train_step)(state, SOME)[0].params, dense_step(learn, state).params)


def test_a_block_updates_a_large_table_in_place():
    """What the compiler makes of a block copies no table, in the loop or out of it, and computes with none."""
    rows = 1_000_000
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=1.0)
    learn, state = trainer.start(config("linear", buckets=rows), TASK, optimizer, seed=0)
    data = jax.device_put(small_tasks.examples(TASK, 8))
    plan = jnp.arange(8).reshape(2, 4)
    lowered = trainer.Trainer.train_block.lower(learn, state, data, plan, jnp.int32(2), 24)
    compiled = lowered.compile()
    table = rf"= f32\[{rows},5\]\S* ([a-z-]+)\("
    operations = set(re.findall(table, str(compiled.as_text())))
    assert "scatter" in operations
    assert operations <= {"parameter", "get-tuple-element", "scatter", "fusion"}
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 8 * rows  # one number a row, where a table takes twenty bytes


def test_a_step_costs_no_more_for_a_larger_table():
    """Counted by the compiler: no arithmetic over the whole table, save one number a row."""

    def flops(rows: int) -> float:
        optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=1.0)
        task = TASK.model_copy(update={"vocabulary": rows})
        learn, state = trainer.start(config("textcnn"), task, optimizer, seed=0)
        compiled = jax.jit(learn.train_step).lower(state, SOME).compile()
        return compiled.cost_analysis()["flops"]  # type: ignore[index]

    small, large = flops(1_000), flops(101_000)
    assert large - small < 3 * 100_000  # a dense step of Adam would take 16 x 10 operations a row


@pytest.mark.parametrize(("block", "rows"), [(256, 20), (16, 20), (16, 400), (16, 1)])
def test_the_gradient_over_sorted_rows_is_the_sum_for_each_row(block, rows, monkeypatch):
    """Also where the rows of an id fill several blocks, and the last block is not full."""
    monkeypatch.setattr(embedding, "BLOCK", block)
    table = jax.random.normal(jax.random.key(0), (rows, 4))
    ids = jax.random.randint(jax.random.key(1), (3, 50), 0, rows)
    gradients = jax.random.normal(jax.random.key(2), (3, 50, 4), jnp.bfloat16)
    looked_up, back = jax.vjp(lambda table: embedding._embed_with_sorted_gradient(table, ids), table)
    assert np.array_equal(looked_up, embedding.embed(table, ids, jnp.bfloat16))
    expected = np.zeros((rows, 4))
    np.add.at(expected, np.asarray(ids), np.asarray(gradients, np.float64))
    np.testing.assert_allclose(jax.jit(back)(gradients)[0], expected, rtol=1e-5, atol=1e-5)
