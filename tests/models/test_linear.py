"""The linear model's weights of n-grams: by hand, and as scikit-learn computes them from the same counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import small_tasks
from flax import nnx
from networks import batch, config
from sklearn.feature_extraction.text import TfidfTransformer

from pipeline.evaluation.predictor import evaluation_batches, variables
from pipeline.examples.batch import Batch, Examples
from pipeline.models import linear
from pipeline.models.linear import Linear
from pipeline.training import trainer
from pipeline.training.run import TrainingRun, from_checkpoint, to_checkpoint

TASK: Any = small_tasks.texts()
BUCKETS = 5_000

jitted_ngrams = jax.jit(linear.ngrams, static_argnums=(1, 2))  # compiled as a whole: that takes less time


@nnx.jit
def tfidf(model: Linear, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    return model.tfidf(tokens)


def model(ngrams: int = 2) -> Linear:
    return linear.build(config("linear", ngrams=ngrams, buckets=BUCKETS), TASK.inputs, TASK.outputs, rngs=nnx.Rngs(0))


def texts(*some: list[int]) -> Examples:
    starts = np.cumsum([0, *map(len, some)]).astype(np.int32)
    return Examples({"tokens": np.concatenate(some).astype(np.int32)}, np.zeros(len(some), np.int32), starts)


def counts(of: Batch, ngrams: int) -> np.ndarray:
    """How often each text has each bucket."""
    rows, number = jitted_ngrams(jnp.asarray(of.inputs), ngrams, BUCKETS)
    table = np.zeros((len(rows), BUCKETS), np.int32)
    np.add.at(table, (np.arange(len(rows))[:, None], np.asarray(rows)), np.asarray(number))
    return table


def weights(model: Linear, of: Batch) -> np.ndarray:
    rows, x = tfidf(model, jnp.asarray(of.inputs))
    table = np.zeros((len(rows), BUCKETS), np.float32)
    np.add.at(table, (np.arange(len(rows))[:, None], np.asarray(rows)), np.asarray(x))
    return table


def test_each_n_gram_is_counted():
    number = counts(batch(TASK, texts([7, 8, 7, 8, 7], [9])), 2)
    assert sorted(number[0][number[0] > 0].tolist()) == [2, 2, 2, 3]  # twice: 8, 78 and 87; three times: 7
    assert number[1].sum() == number[1].max() == 1


def test_weights_by_hand():
    """Of three texts, all have 7, two have 8, one of them twice, and only one has 9."""
    some = batch(TASK, texts([7, 8, 8], [7, 8], [7, 9]))
    of = model(ngrams=1)
    of.fit_statistics([some])
    eight, nine = np.log(4 / 3) + 1, np.log(4 / 2) + 1  # 7 is in all three texts: ln(4 / 4) + 1 = 1
    twice = (1 + np.log(2)) * eight
    for x, row in zip(weights(of, some), ((1, twice), (1, eight), (1, nine)), strict=True):
        expected = np.array(row)
        np.testing.assert_allclose(np.sort(x[x > 0]), expected / np.linalg.norm(expected), rtol=1e-6)


def test_equals_scikit_learn_on_the_same_counts():
    """Also for new texts: n-grams that are in no training text count for nothing."""
    ngrams = 3
    train, new = (batch(TASK, small_tasks.examples(TASK, 30, seed)) for seed in (0, 1))
    of, reference = model(ngrams), TfidfTransformer(sublinear_tf=True)
    of.fit_statistics([train])
    known = (counts(train, ngrams) > 0).any(0)
    reference.fit(counts(train, ngrams)[:, known])
    for some in (train, new):
        x = weights(of, some)
        assert not x[:, ~known].any()
        expected: Any = reference.transform(counts(some, ngrams)[:, known])
        np.testing.assert_allclose(x[:, known], expected.toarray(), atol=1e-6)


def test_the_same_whatever_the_batches():
    """Neither the padding of a batch nor its order counts."""
    data = small_tasks.examples(TASK, 70)
    learn, state = trainer.start(config("linear"), TASK, lambda _: optax.sgd(0.1), seed=0)
    after = trainer.fit_statistics(learn.predictor, state, lambda: data)
    assert len(evaluation_batches(data)) > 1
    whole = model()
    whole.fit_statistics([batch(TASK, data)])
    np.testing.assert_array_equal(after.model_state["idf"], whole.idf[...])
    same(after.params, state.params)


def test_they_stay_in_training_and_are_resumed():
    data = small_tasks.examples(TASK, 20)
    learn, state = trainer.start(config("linear"), TASK, lambda _: optax.sgd(0.1), seed=0)
    fitted = trainer.fit_statistics(learn.predictor, state, lambda: data)
    after, _ = jax.jit(learn.train_step)(fitted, batch(TASK, data))
    same(after.model_state, fitted.model_state)
    resumed = from_checkpoint(to_checkpoint(TrainingRun(after)), state)
    same(resumed.state, after)


def test_a_network_that_measures_nothing_is_left_as_it_is():
    learn, state = trainer.start(config("textcnn"), TASK, lambda _: optax.sgd(0.1), seed=0)
    assert trainer.fit_statistics(learn.predictor, state, lambda: small_tasks.examples(TASK, 3)) is state


def test_untrained_all_n_grams_weigh_the_same():
    assert set(np.asarray(variables(model(), nnx.Not(nnx.Param))["idf"]).tolist()) == {1.0}


def same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)
