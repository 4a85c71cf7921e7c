"""Each model, on each task that it can do: shapes, learning, and the same numbers however it is run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_tasks
from flax import nnx
from networks import batch, config

from pipeline.config.networks import NETWORKS, CNNConfig
from pipeline.evaluation import predictor
from pipeline.examples.batch import Words
from pipeline.models import build
from pipeline.runtime.errors import UserError
from pipeline.training import trainer

LONG = pytest.mark.long
PAIRS = [(name, kind) for name, config in NETWORKS.items() for kind in config.inputs if kind != "corpus"]
TEXTS = small_tasks.texts()
TEXTUAL = [(name, kind) for name, kind in PAIRS if kind != "images"]


@nnx.jit(static_argnames="training")
def run(model: Any, inputs: Any, *, training: bool = False, rngs: nnx.Rngs | None = None) -> jax.Array:
    """Compiled as a whole: that takes less time than to compile each operation."""
    return model(inputs, training=training, rngs=rngs)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("size", [7, pytest.param(1, marks=LONG)])
def test_gives_a_logit_a_class(name, kind, size):
    task = small_tasks.TASKS[kind]()
    some = batch(task, small_tasks.examples(task, size))
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    for training in (False, True):
        logits = run(model, some.inputs, training=training, rngs=nnx.Rngs(1))
        assert logits.shape == (*some.targets.shape, 5)
        assert bool(jnp.isfinite(logits).all())


@pytest.mark.parametrize("name", ["cnn", "resnet"])
@pytest.mark.parametrize(("height", "width", "colour"), [(9, 16, "rgb"), pytest.param(33, 20, "grey", marks=LONG)])
def test_images_of_any_size(name, height, width, colour):
    task = small_tasks.images(height, width, colour)
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    assert run(model, batch(task, small_tasks.examples(task, 3)).inputs).shape == (3, 5)


@pytest.mark.parametrize(("name", "kind"), [*PAIRS, pytest.param("gru", "texts", marks=LONG)])
def test_memorises_one_batch(name, kind):
    task = small_tasks.TASKS[kind]()
    data = small_tasks.examples(task, 16)
    some = batch(task, data)
    chosen = config("lstm", cell="gru") if name == "gru" else config(name)
    learn, state = trainer.start(chosen, task, lambda _: optax.adam(2e-2), seed=0)
    step = jax.jit(learn.train_step)
    for _ in range(150):
        state, _ = step(state, some)
    # As in use, too: running averages have settled.
    guesses = learn.predictor.logits(state.params, state.model_state, data, np.arange(16), 24).argmax(-1)
    assert (guesses == some.targets)[some.valid].mean() > 0.99


@pytest.mark.parametrize(("name", "kind"), [("linear", "texts"), ("lstm", "sentences")])
def test_predictions_are_in_the_order_of_the_targets(name, kind):
    """However the examples were sorted by length to be predicted."""
    task = small_tasks.TASKS[kind]()
    data = small_tasks.examples(task, 70)
    learn, state = trainer.start(config(name), task, lambda _: optax.identity(), seed=0)
    state = state._replace(params=jax.tree.map(lambda x: jax.random.normal(jax.random.key(0), x.shape), state.params))
    actual = predictor.predict(learn.predictor, state.params, state.model_state, data)
    assert actual.shape == (len(data.targets), 5)
    whole = np.asarray(learn.predictor.logits(state.params, state.model_state, data, np.arange(70), 24))
    expected = whole[np.asarray(batch(task, data).valid)]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), TEXTUAL)
def test_padding_changes_nothing(name, kind):
    task = small_tasks.TASKS[kind]()
    data = small_tasks.examples(task, 9)
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    for weights in jax.tree.leaves(nnx.state(model, nnx.Param)):
        assert bool(jnp.isfinite(weights).all())
    short, long = batch(task, data, 20), batch(task, data, 40)
    a, b = run(model, short.inputs), run(model, long.inputs)
    if kind == "sentences":
        real = np.asarray(short.valid)
        a, b = np.asarray(a)[real], np.asarray(b)[:, :20][real]
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, kind in TEXTUAL if kind == "texts"])
def test_a_text_without_tokens(name):
    model = build(config(name), TEXTS.inputs, 5, rngs=nnx.Rngs(0))
    assert bool(jnp.isfinite(run(model, jnp.zeros((2, 8), jnp.int32))).all())


@pytest.mark.parametrize(("name", "kind"), TEXTUAL)
def test_the_order_and_the_neighbours_in_a_batch_change_nothing(name, kind):
    task = small_tasks.TASKS[kind]()
    data = small_tasks.examples(task, 6)
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    forward, backward = (task.inputs.batch(data, rows, 24) for rows in (jnp.arange(6), jnp.arange(6)[::-1]))
    np.testing.assert_allclose(run(model, forward.inputs), run(model, backward.inputs)[::-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_tag_depends_on_characters_and_on_both_neighbours(name):
    task = small_tasks.tagging()
    inputs = batch(task, small_tasks.examples(task, 1, 3)).inputs
    assert isinstance(inputs, Words)
    last = int((inputs.words != 0).sum()) - 1
    model = build(config(name), task.inputs, task.outputs, rngs=nnx.Rngs(0))
    before = run(model, inputs)
    for changed in (
        inputs._replace(characters=inputs.characters.at[0, 1, -1].set(29)),
        inputs._replace(words=inputs.words.at[0, 0].set(49)),
        inputs._replace(words=inputs.words.at[0, last].set(49)),
    ):
        assert not np.allclose(run(model, changed)[0, 1], before[0, 1], rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_alone():
    task = small_tasks.texts()
    inputs = batch(task, small_tasks.examples(task, 4)).inputs
    for name in ("lstm", "transformer"):
        model = build(config(name, dropout=0.5, token_dropout=0.5), task.inputs, 5, rngs=nnx.Rngs(0))
        one, two = (run(model, inputs, training=True, rngs=nnx.Rngs(dropout=i)) for i in (0, 1))
        assert not np.allclose(one, two)
        np.testing.assert_array_equal(run(model, inputs), run(model, inputs, rngs=nnx.Rngs(dropout=1)))


def test_a_width_that_heads_cannot_share():
    with pytest.raises(UserError, match=r"models.transformer.network.width: 10 is not a multiple of twice the heads"):
        build(config("transformer", width=10), TEXTS.inputs, 5, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("shape", [(28, 28), pytest.param((13, 18), marks=LONG)])
def test_the_reference_is_the_textbook_network(shape):
    """Its fused training path equals nnx.Conv, relu, nnx.max_pool and a dense layer, in value and in gradient."""
    of = small_tasks.images(*shape)
    kind: Any = of.inputs
    model = build(CNNConfig(filters=8, kernel=3), of.inputs, 5, rngs=nnx.Rngs(0))
    shell = nnx.graphdef(nnx.Conv(1, 8, (3, 3), padding="VALID", rngs=nnx.Rngs(1)))
    images = jnp.asarray(small_tasks.examples(of, 8).inputs["images"])

    def textbook(params):
        conv = nnx.merge(shell, {"kernel": params["kernel"], "bias": params["bias"]})
        x = nnx.max_pool(nnx.relu(conv(kind.standardise(images))), (2, 2), (2, 2), "VALID")
        return x.reshape(8, -1) @ params["head"]["kernel"] + params["head"]["bias"][None]

    graphdef, params = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(params)
    params["bias"] = jnp.linspace(-1, 1, 8)
    weight = jax.random.normal(jax.random.key(0), (8, of.outputs))

    def ours(params):
        return nnx.merge(graphdef, params)(images, training=True)

    (a, da), (b, db) = (jax.value_and_grad(lambda p, f=f: (f(p) * weight).sum())(params) for f in (ours, textbook))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * float(jnp.abs(y).max())), da, db)


def test_training_and_use_agree_where_nothing_is_random():
    task = small_tasks.images()
    model = build(CNNConfig(filters=8, kernel=3), task.inputs, 5, rngs=nnx.Rngs(0))
    images = jnp.asarray(small_tasks.examples(task, 8).inputs["images"])
    np.testing.assert_allclose(model(images, training=True), model(images), rtol=1e-4, atol=1e-5)


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(UserError, match=r"models.cnn.network.kernel: 20 is too large for images of 14 x 10"):
        build(CNNConfig(filters=8, kernel=20), small_tasks.images().inputs, 5, rngs=nnx.Rngs(0))
