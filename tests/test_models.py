"""Each model: shapes, learning, and the same numbers however it is run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from pipeline import learner
from pipeline.errors import UserError
from pipeline.images import ImageSpec
from pipeline.models import CONFIGS, cnn
from pipeline.tasks import Batch, ImageClassification

NETWORKS = {"cnn": {"filters": 8, "kernel": 3}, "resnet": {"widths": (8, 16), "blocks": 1}}


def task(height: int = 14, width: int = 10, colour: str = "grey", classes: int = 5) -> ImageClassification:
    spec = ImageSpec.model_validate({"height": height, "width": width, "colour": colour})
    measured = (0.5,) * spec.channels, (0.3,) * spec.channels
    labels = tuple(map(str, range(classes)))
    return ImageClassification(
        name="image-classification", image=spec, labels=labels, mean=measured[0], std=measured[1]
    )


def batch(of: ImageClassification, size: int, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    inputs = random.integers(0, 256, (size, *of.input_shape)).astype(np.uint8)
    targets = random.integers(0, of.num_classes, size).astype(np.int32)
    return Batch(jnp.asarray(inputs), jnp.asarray(targets), jnp.ones(size, bool))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("height", "width", "colour"), [(14, 10, "grey"), (9, 16, "rgb"), (28, 28, "grey")])
def test_gives_a_logit_a_class(name, size, height, width, colour):
    of = task(height, width, colour)
    model = CONFIGS[name](**NETWORKS[name]).build(of, rngs=nnx.Rngs(0))
    for training in (False, True):
        logits = model(batch(of, size).inputs, training=training)
        assert logits.shape == (size, of.num_classes)
        assert bool(jnp.isfinite(logits).all())


@pytest.mark.parametrize("name", CONFIGS)
def test_memorises_one_batch(name):
    of = task()
    some = batch(of, 16)
    learn, state = learner.start(CONFIGS[name](**NETWORKS[name]), of, optax.adam(1e-2), seed=0)
    step = jax.jit(learn.train_step)
    for _ in range(150):
        state, _ = step(state, some)
    _, sums = step(state, some)
    assert float(sums.correct) == 16
    guesses = learner.predict(learn, state.params, state.rest, np.asarray(some.inputs)).argmax(-1)
    np.testing.assert_array_equal(guesses, some.targets)  # as in use, too: running averages have settled


@pytest.mark.parametrize("shape", [(28, 28), (13, 18)])
def test_the_reference_is_the_textbook_network(shape):
    """Its fused training path equals nnx.Conv, relu, nnx.max_pool and a dense layer, in value and in gradient."""
    of = task(*shape)
    config = cnn.Config(filters=8, kernel=3)
    model = config.build(of, rngs=nnx.Rngs(0))
    shell = nnx.graphdef(nnx.Conv(1, 8, (3, 3), padding="VALID", rngs=nnx.Rngs(1)))
    images = batch(of, 8).inputs

    def textbook(params):
        conv = nnx.merge(shell, {"kernel": params["kernel"], "bias": params["bias"]})
        x = nnx.max_pool(nnx.relu(conv(of.standardise(images))), (2, 2), (2, 2), "VALID")
        return x.reshape(8, -1) @ params["head"]["kernel"] + params["head"]["bias"][None]

    graphdef, params = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(params)
    params["bias"] = jnp.linspace(-1, 1, 8)
    weight = jax.random.normal(jax.random.key(0), (8, of.num_classes))

    def ours(params):
        return nnx.merge(graphdef, params)(images, training=True)

    (a, da), (b, db) = (jax.value_and_grad(lambda p, f=f: (f(p) * weight).sum())(params) for f in (ours, textbook))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * float(jnp.abs(y).max())), da, db)


def test_training_and_use_agree_where_nothing_is_random():
    of = task()
    model = cnn.Config(filters=8, kernel=3).build(of, rngs=nnx.Rngs(0))
    images = batch(of, 8).inputs
    np.testing.assert_allclose(model(images, training=True), model(images), rtol=1e-4, atol=1e-5)


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(UserError, match=r"models.cnn.network.kernel: 20 is too large for images of 14 x 10"):
        cnn.Config(filters=8, kernel=20).build(task(), rngs=nnx.Rngs(0))
