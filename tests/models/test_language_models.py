"""Language models: no look ahead, one text read in any parts, equal losses however they are computed, equal batches
from memory and from files.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from corpora import CONFIGS, TASK, VOCABULARY, corpus, shrink, write
from flax import nnx

from pipeline.config.networks import GPT_SIZES, GPTSize
from pipeline.evaluation import token_losses
from pipeline.loaders import token_store as corpora
from pipeline.loaders.loader import WindowLoader, prefetch
from pipeline.models import build, rnn
from pipeline.runtime.errors import UserError
from pipeline.runtime.windows import windows
from pipeline.tasks import Batch
from pipeline.training import trainer


@pytest.fixture(autouse=True)
def small(monkeypatch):
    shrink(monkeypatch)


def built(kind: str, **changes: Any) -> Any:
    return build(CONFIGS[kind](**changes), TASK, rngs=nnx.Rngs(0))


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
@pytest.mark.parametrize("parts", [(16,), (1,) * 16, (5, 1, 8, 2)])
def test_reads_a_text_in_any_parts(kind, parts):
    model, x = built(kind), tokens(3, 16)
    cache, found, at = model.init_cache(3), [], 0
    decode = nnx.jit(lambda model, cache, x: model.decode(cache, x))
    for part in parts:
        logits, cache = decode(model, cache, x[:, at : at + part])
        found.append(logits)
        at += part
    assert np.allclose(jnp.concatenate(found, axis=1), run(model, x), atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_memorises_a_batch(kind):
    learn, state = trainer.start(CONFIGS[kind](), TASK, optax.adam(1e-2), seed=0)
    x = tokens(4, 17)
    batch = Batch(x[:, :-1], x[:, 1:], jnp.ones((4, 16), bool))
    step = jax.jit(learn.train_step)
    state, sums = step(state, batch)
    for _ in range(150):
        state, sums = step(state, batch)
    assert float(sums.correct) / float(sums.targets) > 0.95


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_rematerialisation_changes_no_gradient(remat):
    x = tokens(2, 17)

    def gradients(config):
        graphdef, params = nnx.split(build(config, TASK, rngs=nnx.Rngs(0)))

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
    task = TASK.model_copy(update={"vocabulary": 50_304})
    for config in [
        CONFIGS["gpt"](context=1_024, variant=variant),
        *(CONFIGS[cell](variant=variant) for cell in ("linear", "lstm") if variant == "124m"),
    ]:
        model = nnx.eval_shape(lambda config=config: build(config, task, rngs=nnx.Rngs(0)))
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
    learn, state = trainer.start(CONFIGS["gpt"](), TASK, optax.sgd(0.1), seed=0)
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
    assert int(sums.targets) == 39


@pytest.mark.parametrize("shards", [1, 7])
def test_windows_across_files(shards):
    text = corpus(100, 50, shards=shards)
    row = text.whole()
    first = np.array([0, 3, 77, 140, -1, 151])
    found = text.windows(first, 20)
    for place, window in zip(first, found):
        expected = np.zeros(20, row.dtype) if place < 0 else np.pad(row[place : place + 20], (0, 20))[:20]
        assert np.array_equal(window, expected)


def test_batches_are_a_function_of_seed_and_step():
    shape = {"tokens": 1_000, "context": 10, "batch": 4}
    assert corpora.steps_per_pass(1_000, context=10, batch=4) == 24
    whole = np.concatenate([block.rows for block in corpora.epoch_windows(1, 0, 60, **shape)])
    later = np.concatenate([block.rows for block in corpora.epoch_windows(1, 37, 23, **shape)])
    assert np.array_equal(whole[37:], later)
    assert not np.array_equal(whole, np.concatenate([block.rows for block in corpora.epoch_windows(2, 0, 60, **shape)]))
    a_pass = np.sort(whole[:24].reshape(-1))
    assert len(set((a_pass % 10).tolist())) == 1  # windows do not overlap
    assert len(set(a_pass.tolist())) == len(a_pass)
    assert a_pass.max() + 11 <= 1_000
    assert whole[0, 0] % 10 != whole[24, 0] % 10 or whole[0, 0] % 10 != whole[48, 0] % 10  # another cut each pass


def test_files_give_the_same_bits_as_memory():
    text = corpus(3_000, 2_000, shards=3)
    results = []
    for resident in (1 << 20, 0):
        feed = WindowLoader(text, seed=0, batch=4, context=16, steps=40, resident=resident)
        learn, state = trainer.start(CONFIGS["gpt"](), TASK, optax.adam(1e-2), seed=0)
        seen = []
        for data, rows, length in feed.load(feed.epoch(1), 0):
            padded = np.pad(rows, [(0, 128 - len(rows)), (0, 0)])
            state, sums = learn.train_block(state, data, padded, np.int32(len(rows)), length)
            seen.append(np.asarray(sums)[: len(rows)])
        results.append((state, np.concatenate(seen)))
    (one, losses), (other, same) = results
    assert np.array_equal(losses, same)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_microbatches_are_the_whole_batch():
    batch = Batch((x := tokens(8, 17))[:, :-1], x[:, 1:], jnp.ones((8, 16), bool).at[5:, 9:].set(False))
    found = []
    for parts in (1, 4):
        learn, state = trainer.start(CONFIGS["gpt"](), TASK, optax.sgd(0.1), seed=0, microbatches=parts)
        found.append(jax.jit(learn.train_step)(state, batch))
    (one, sums), (other, same) = found
    for a, b in zip(jax.tree.leaves((one.params, sums)), jax.tree.leaves((other.params, same)), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_reading_ahead_ends_early_and_passes_on_what_goes_wrong():
    assert list(prefetch(iter(range(10)))) == list(range(10))
    assert next(prefetch(iter(range(1_000)))) == 0  # and the thread ends with the generator

    def failing():
        yield 1
        raise UserError("the disk is gone")

    found = prefetch(failing())
    assert next(found) == 1
    with pytest.raises(UserError, match="the disk is gone"):
        next(found)


def test_too_little_text():
    with pytest.raises(UserError, match=r"batch_size: 8 windows of 100 tokens .* 500 training tokens"):
        WindowLoader(corpus(499), seed=0, batch=8, context=100, steps=None)


def test_a_file_of_tokens_that_is_missing_or_cut_short(tmp_path):
    folder = tmp_path / "train"
    write(corpus(100, 20, shards=3), folder)
    assert len(corpora.load(folder)) == 122
    path = folder / "tokens-00001.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(UserError, match=r"train: cannot be read .*: run `dvc repro -f preprocess`"):
        corpora.load(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"its 2 files .* hold 81 tokens, its index says 122"):
        corpora.load(folder)


@pytest.mark.parametrize("layers", [2, 8])
def test_layers_are_compiled_once(layers, monkeypatch):
    """The program of a deep stack is as long as that of a shallow one."""
    monkeypatch.setitem(GPT_SIZES, "nano", GPTSize(layers, 16, 4, 2, 32))
    graphdef, params = nnx.split(build(CONFIGS["gpt"](), TASK, rngs=nnx.Rngs(0)))
    text = jax.jit(lambda p, x: nnx.merge(graphdef, p)(x)).lower(params, tokens(1, 16)).as_text()
    assert text.count("stablehlo.dot_general") == 7


def test_linear_layers_forget_at_the_paper_s_rates():
    layer = rnn.Linear(64, depth=1, rngs=nnx.Rngs(0))
    kept = np.exp(-8 * np.log1p(np.exp(np.asarray(layer.decay[...]))) * 0.5)
    assert kept.min() > 0.89
    assert kept.max() < 0.9995
