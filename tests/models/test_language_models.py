"""Language models: no look ahead, one text read in any parts, equal losses however they are computed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from corpora import CONFIGS, TASK, VOCABULARY, corpus, shrink
from flax import nnx

from pipeline.config.networks import GPT_SIZES, GPTSize
from pipeline.evaluation import token_losses
from pipeline.examples.batch import Batch
from pipeline.models import build, gpt, rnn
from pipeline.runtime.windows import windows
from pipeline.training import trainer


@pytest.fixture(autouse=True)
def small(monkeypatch):
    shrink(monkeypatch)


def built(kind: str, **changes: Any) -> Any:
    return build(CONFIGS[kind](**changes), TASK.inputs, TASK.outputs, rngs=nnx.Rngs(0))


def tokens(b: int, t: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(1, VOCABULARY, (b, t)), jnp.int32)


@nnx.jit
def run(model, x):
    return model(x)


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_token_sees_a_later_one(kind):
    model, x = built(kind), tokens(2, 16)
    before = run(model, x)
    after = run(model, x.at[:, 9].set(x[:, 9] % (VOCABULARY - 1) + 1))
    assert np.array_equal(before[:, :9], after[:, :9])
    assert not np.allclose(before[:, 9:], after[:, 9:])


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    "parts", [(5, 1, 8, 2), *(pytest.param(parts, marks=pytest.mark.long) for parts in [(16,), (1,) * 16])]
)
def test_reads_a_text_in_any_parts(kind, parts):
    model, x = built(kind), tokens(3, 16)
    cache, parts_logits, at = model.init_cache(3), [], 0
    decode = nnx.jit(lambda model, cache, x: model.decode(cache, x))
    for part in parts:
        logits, cache = decode(model, cache, x[:, at : at + part])
        parts_logits.append(logits)
        at += part
    assert np.allclose(jnp.concatenate(parts_logits, axis=1), run(model, x), atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_memorises_a_batch(kind):
    learn, state = trainer.start(CONFIGS[kind](), TASK, lambda _: optax.adam(1e-2), seed=0)
    x = tokens(4, 17)
    batch = Batch(x[:, :-1], x[:, 1:], jnp.ones((4, 16), bool))
    step = jax.jit(learn.train_step)
    state, sums = step(state, batch)
    for _ in range(150):
        state, sums = step(state, batch)
    assert float(sums.score) / float(sums.score_weight) > 0.95


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_rematerialisation_changes_no_gradient(remat):
    x = tokens(2, 17)

    def gradients(config):
        graphdef, params = nnx.split(build(config, TASK.inputs, TASK.outputs, rngs=nnx.Rngs(0)))

        def loss(params):
            model: Any = nnx.merge(graphdef, params)
            return jnp.sum(jnp.square(model.hidden(x)[..., :3]))

        return jax.jit(jax.grad(loss))(params)

    one, other = gradients(CONFIGS["gpt"](context=17)), gradients(CONFIGS["gpt"](context=17, remat=remat))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_half_precision_is_near(kind):
    x = tokens(2, 16)
    whole, half = run(built(kind), x), run(built(kind, precision="bfloat16"), x)
    assert half.dtype == jnp.float32
    assert np.allclose(whole, half, atol=0.05)
    assert not np.array_equal(whole, half)


@pytest.mark.parametrize("kind", CONFIGS)
def test_dropout_is_for_training_alone(kind):
    model, x = built(kind, dropout=0.5), tokens(2, 16)
    assert np.array_equal(model.hidden(x), model.hidden(x))
    one, again, other = (model.hidden(x, training=True, rngs=nnx.Rngs(dropout=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("variant", ["124m", "350m", "1.3b"])
def test_variants_are_as_large_as_they_say(variant, monkeypatch):
    monkeypatch.undo()
    for config in [
        CONFIGS["gpt"](context=1_024, variant=variant),
        *(CONFIGS[cell](variant=variant) for cell in ("linear", "lstm") if variant == "124m"),
    ]:
        model = nnx.eval_shape(lambda config=config: build(config, TASK.inputs, 50_304, rngs=nnx.Rngs(0)))
        count = sum(np.prod(x.shape) for x in jax.tree.leaves(nnx.state(model, nnx.Param)))
        assert count == pytest.approx({"124m": 124e6, "350m": 355e6, "1.3b": 1.3e9}[variant], rel=0.05)
        assert count > 100e6


@pytest.mark.parametrize("context", [1, 2, 5, 16, 100])
def test_windows_score_each_token_once_with_enough_before_it(context):
    text = corpus(1, 40, 2, 17, 33)
    plan = windows(text.starts.tolist(), context)
    scored = np.concatenate([first + 1 + np.arange(skip, end) for first, skip, end in zip(*plan)])
    row = text.whole()
    assert sorted(scored.tolist()) == [i for i in range(len(row)) if row[i] != 0]
    for first, skip, end in zip(*plan):
        document = text.starts[np.searchsorted(text.starts, first, side="right") - 1]
        assert end <= context
        assert first == document or skip >= context // 2


def test_reading_is_the_model_s_own_loss():
    """Of a document no longer than a window, all at once; of a longer one, from the window that the rule names."""
    text = corpus(9, 30)
    learn, state = trainer.start(CONFIGS["gpt"](), TASK, lambda _: optax.sgd(0.1), seed=0)
    parts = list(token_losses.token_losses(learn.predictor, state.params, state.model_state, text, 16))
    loss = np.concatenate([part.loss for part in parts])
    place = np.concatenate([part.place for part in parts])
    row = text.whole().astype(np.int32)
    model = learn.predictor.model(state.params, state.model_state)

    def own(first: int, at: int) -> float:
        return float(-jax.nn.log_softmax(run(model, jnp.asarray(row[None, first:at])))[0, -1, row[at]])

    for at, first in ((1, 0), (9, 0), (11, 10), (26, 10), (27, 18), (34, 18), (35, 24), (40, 24)):
        assert loss[place == at][0] == pytest.approx(own(first, at), abs=1e-4), at
    sums = token_losses.total_loss(learn.predictor, state.params, state.model_state, text, 16)
    assert float(sums.loss) == pytest.approx(float(loss.sum()), rel=1e-6)
    assert int(sums.score_weight) == 39


def test_microbatches_are_the_whole_batch():
    batch = Batch((x := tokens(8, 17))[:, :-1], x[:, 1:], jnp.ones((8, 16), bool).at[5:, 9:].set(False))
    results = []
    for parts in (1, 4):
        learn, state = trainer.start(CONFIGS["gpt"](), TASK, lambda _: optax.sgd(0.1), seed=0, microbatches=parts)
        results.append(jax.jit(learn.train_step)(state, batch))
    (one, sums), (other, same) = results
    for a, b in zip(jax.tree.leaves((one.params, sums)), jax.tree.leaves((other.params, same)), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [2, 8])
def test_layers_are_compiled_once(layers, monkeypatch):
    """The program of a deep stack is as long as that of a shallow one."""
    monkeypatch.setitem(GPT_SIZES, "nano", GPTSize(layers, 16, 4, 2, 32))
    graphdef, params = nnx.split(build(CONFIGS["gpt"](), TASK.inputs, TASK.outputs, rngs=nnx.Rngs(0)))
    text = jax.jit(lambda p, x: nnx.merge(graphdef, p)(x)).lower(params, tokens(1, 16)).as_text()
    assert text.count("stablehlo.dot_general") == 8


def test_linear_layers_forget_at_the_paper_s_rates():
    layer = rnn.Linear(64, depth=1, rngs=nnx.Rngs(0))
    kept = np.exp(-8 * np.log1p(np.exp(np.asarray(layer.decay[...]))) * 0.5)
    assert kept.min() > 0.89
    assert kept.max() < 0.9995


@pytest.mark.parametrize("remat", ["none", pytest.param("dots", marks=pytest.mark.long)])
def test_layers_of_a_gpu_are_those_of_the_scan(remat, monkeypatch):
    """Compiled one by one, and with the gate's product apart: in value and in gradient, with the same dropout."""
    model, x = built("gpt", dropout=0.1, remat=remat), tokens(2, 16)
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params: Any) -> jax.Array:
        model = nnx.merge(graph, params, rest)
        return jnp.sum(jnp.sin(model.hidden(x, training=True, rngs=nnx.Rngs(dropout=0))))

    scanned = jax.value_and_grad(loss)(params)
    monkeypatch.setattr(gpt, "half_on_gpu", lambda dtype: True)
    one_by_one = jax.value_and_grad(loss)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one_by_one, scanned)
