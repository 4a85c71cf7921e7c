"""Values and gradients against the library's, alone and inside a compiled loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from pipeline.layers.convolution import can_fuse, conv, conv_relu_pool, max_pool


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def library_conv(x, kernel, *, stride, padding):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def value_and_gradients(f, *args):
    """The value, and the gradients of a sum whose weights differ from place to place."""
    value, pull = jax.vjp(f, *args)
    return value, *pull(normal(*value.shape, seed=9))


def assert_near(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, float(jnp.abs(b).max(initial=0))))


LONG = pytest.mark.long
LONG_WINDOWS = [pytest.param(window, marks=LONG) for window in [(2, 2), (7, 7), (1, 3), (4, 5)]]


@pytest.mark.parametrize("padding", ["SAME", pytest.param("VALID", marks=LONG)])
@pytest.mark.parametrize("stride", [1, 2, pytest.param(3, marks=LONG)])
@pytest.mark.parametrize("window", [(1, 1), (3, 3), *LONG_WINDOWS])
def test_conv_equals_the_library(window, stride, padding):
    kernel = normal(*window, 2, 5, seed=1)
    for size in ((9, 8), (7, 10)):
        x = normal(3, *size, 2)
        actual, expected = (
            jax.jit(partial(value_and_gradients, partial(f, stride=stride, padding=padding)))(x, kernel)
            for f in (conv, library_conv)
        )
        for a, b in zip(actual[:2], expected[:2]):  # the value, and the gradient for x
            np.testing.assert_array_equal(a, b)
        assert_near(actual, expected)


@pytest.mark.parametrize(("window", "stride", "padding"), [(3, 1, "SAME"), (3, 2, "SAME"), (1, 2, "VALID")])
def test_conv_equals_the_library_in_a_loop(window, stride, padding):
    xs, kernel = normal(4, 2, 9, 10, 3), normal(window, window, 3, 4, seed=1)

    def train(convolution):
        @jax.jit
        def run(kernel):
            def step(kernel, x):
                f = partial(convolution, stride=stride, padding=padding)
                y, dx, dkernel = value_and_gradients(f, x, kernel)
                return kernel - 1e-3 * dkernel, (y, dx)

            return lax.scan(step, kernel, xs)

        return jax.tree.leaves(run(kernel))

    assert_near(train(conv), train(library_conv))


@pytest.mark.parametrize(("images", "size", "channels"), [(12, 64, 16), (7, 96, 16), (64, 8, 3)])
def test_conv_sums_a_large_batch_in_parts(images, size, channels):
    x, kernel = normal(images, size, size, channels), normal(3, 3, channels, 4, seed=1)
    actual = value_and_gradients(conv, x, kernel)
    assert_near(actual, value_and_gradients(partial(library_conv, stride=1, padding="SAME"), x, kernel))


def test_conv_sums_bfloat16_in_float32():
    x, kernel = normal(256, 16, 16, 8).astype(jnp.bfloat16), normal(3, 3, 8, 4, seed=1).astype(jnp.bfloat16)
    y, pull = jax.vjp(conv, x, kernel)
    _, exact = jax.vjp(conv, x.astype(jnp.float32), kernel.astype(jnp.float32))
    g = jnp.ones_like(y)
    dkernel, expected = pull(g)[1], exact(g.astype(jnp.float32))[1]
    assert dkernel.dtype == jnp.bfloat16
    np.testing.assert_array_equal(dkernel, expected.astype(jnp.bfloat16))


def test_conv_wants_an_image_as_large_as_the_kernel():
    with pytest.raises(ValueError, match="does not fit"):
        conv(normal(1, 4, 2, 1), normal(3, 3, 1, 1), padding="VALID")


def test_conv_gradient_for_each_image():
    x, kernel = normal(3, 6, 6, 2), normal(3, 3, 2, 4, seed=1)

    def gradient(convolution):
        def loss(kernel, image):
            return jnp.square(convolution(image[None], kernel, stride=2, padding="SAME")).sum()

        return jax.vmap(jax.grad(loss), in_axes=(None, 0))(kernel, x)

    assert_near([gradient(conv)], [gradient(library_conv)])


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("size", [(7, 8), *(pytest.param(size, marks=LONG) for size in [(6, 6), (5, 11), (3, 3)])])
def test_max_pool_equals_the_library(size, window):
    numbers = np.random.default_rng(0).permutation(2 * size[0] * size[1] * 3)  # no two are equal
    x = jnp.asarray(numbers.reshape(2, *size, 3) - 50, jnp.float32)
    square = (window, window)
    expected = value_and_gradients(lambda x: nnx.max_pool(x, square, strides=square), x)
    ours = partial(value_and_gradients, lambda x: max_pool(x, window))
    for actual in (ours(x), jax.jit(ours)(x)):
        jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_max_pool_gives_the_first_of_equals_the_gradient():
    dx = jax.grad(lambda x: max_pool(x, 2).sum())(jnp.zeros((1, 4, 5, 1)))
    expected = np.zeros((1, 4, 5, 1), np.float32)
    expected[:, ::2, :4:2] = 1
    np.testing.assert_array_equal(dx, expected)


def test_max_pool_of_an_image_smaller_than_the_window():
    y, pull = jax.vjp(lambda x: max_pool(x, 3), normal(2, 2, 5, 1))
    assert y.shape == (2, 0, 1, 1)
    np.testing.assert_array_equal(pull(y)[0], jnp.zeros((2, 2, 5, 1)))


FUSED = [  # images, size, kernel, filters
    (8, (28, 28), (3, 3), 32),
    (4, (9, 12), (3, 3), 5),
    (6, (8, 7), (2, 2), 3),
    (3, (12, 11), (5, 5), 4),
    (7, (6, 6), (1, 1), 2),
    (1, (4, 9), (3, 2), 1),
]


def library_conv_relu_pool(x, kernel, bias):
    layer = nnx.Conv(1, kernel.shape[3], kernel.shape[:2], padding="VALID", rngs=nnx.Rngs(0))
    layer.kernel, layer.bias = nnx.Param(kernel), nnx.Param(bias)
    return nnx.max_pool(nnx.relu(layer(x)), (2, 2), strides=(2, 2))


@pytest.mark.parametrize(
    ("images", "size", "window", "filters"), [*FUSED[:2], *(pytest.param(*case, marks=LONG) for case in FUSED[2:])]
)
def test_conv_relu_pool_equals_the_library(images, size, window, filters):
    args = normal(images, *size, 1), normal(*window, 1, filters, seed=1), normal(filters, seed=2)
    expected = value_and_gradients(library_conv_relu_pool, *args)
    assert_near(jax.jit(partial(value_and_gradients, conv_relu_pool))(*args), expected)
    assert_near([conv_relu_pool(*args)], expected[:1])  # not differentiated, it takes another way


def test_conv_relu_pool_equals_the_library_in_a_loop():
    xs, params = normal(5, 4, 11, 10, 1), (normal(3, 3, 1, 6, seed=1), normal(6, seed=2))

    def train(f):
        def step(params, x):
            loss, grads = jax.value_and_grad(lambda params: jnp.square(f(x, *params)).mean())(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss

        return jax.tree.leaves(jax.jit(lambda params: lax.scan(step, params, xs))(params))

    assert_near(train(conv_relu_pool), train(library_conv_relu_pool))


@pytest.mark.parametrize(("image", "kernel"), [((2, 3, 8, 1), (3, 3, 1, 4)), ((2, 8, 8, 1), (3, 8, 1, 4))])
def test_conv_relu_pool_wants_a_full_window(image, kernel):
    with pytest.raises(ValueError, match="do not fit"):
        conv_relu_pool(normal(*image), normal(*kernel), normal(4))


def test_what_can_be_fused(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert can_fuse((8, 28, 28, 1), (3, 3, 1, 32), 2)
    assert not can_fuse((8, 28, 28, 3), (3, 3, 3, 32), 2)
    assert not can_fuse((8, 28, 28, 1), (3, 3, 1, 32), 3)


def test_other_backends_keep_the_library(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    args = normal(2, 8, 8, 1), normal(3, 3, 1, 4, seed=1), normal(4, seed=2)
    assert not can_fuse(args[0].shape, args[1].shape, 2)
    assert "custom_vjp_call" not in str(jax.make_jaxpr(conv)(*args[:2]))
    assert_near(value_and_gradients(conv_relu_pool, *args), value_and_gradients(library_conv_relu_pool, *args))


def test_conv_relu_pool_in_bfloat16_is_the_plain_sequence():
    """Of eight bits of a mantissa none can be spared for the position of the maximum."""
    arguments = [a.astype(jnp.bfloat16) for a in (normal(2, 8, 8, 1), normal(3, 3, 1, 4, seed=1), normal(4, seed=2))]

    def plain(x, kernel, bias):
        return jax.nn.relu(max_pool(conv(x, kernel, padding="VALID"), 2) + bias.reshape(1, 1, 1, -1))

    (y, pull), (expected, plain_pull) = jax.vjp(conv_relu_pool, *arguments), jax.vjp(plain, *arguments)
    np.testing.assert_array_equal(y, expected)
    for actual, gradient in zip(pull(y), plain_pull(y), strict=True):
        np.testing.assert_array_equal(actual, gradient)


@pytest.mark.parametrize("where", [slice(None), 0])
def test_conv_relu_pool_of_a_bias_that_is_not_a_number(where):
    y, _ = jax.vjp(conv_relu_pool, normal(2, 8, 8, 1), normal(3, 3, 1, 4), jnp.zeros(4).at[where].set(jnp.nan))
    np.testing.assert_array_equal(np.isnan(y), np.broadcast_to(np.isin(np.arange(4), np.arange(4)[where]), y.shape))
