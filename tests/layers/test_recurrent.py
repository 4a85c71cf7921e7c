"""Values and gradients against plain loops over the published formulas, differentiated by jax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from pipeline.layers.recurrent import gru, lstm

LENGTHS = jnp.array([1, 7, 4])  # of 7
LONG = pytest.mark.long
DIRECTIONS = pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=LONG)])


def normal(*shape: int, seed: int = 0, scale: float = 1) -> jax.Array:
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


def weights(gates: int, biases: int, *, d: int = 6, h: int = 5) -> list[jax.Array]:
    width = gates * h
    matrices = [normal(d, width, seed=1, scale=0.5), normal(h, width, seed=2, scale=0.5)]
    return matrices + [normal(width, seed=3 + i) for i in range(biases)]


def lstm_cell(x, state, kernel, recurrent, bias):
    hidden, cell = state
    i, f, g, o = jnp.split(x @ kernel + hidden @ recurrent + bias, 4)
    cell = jax.nn.sigmoid(f + 1) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


def gru_cell(x, state, kernel, recurrent, bias, recurrent_bias):
    (hidden,) = state
    a, s = jnp.split(x @ kernel + bias, 3), jnp.split(hidden @ recurrent + recurrent_bias, 3)
    r, z = jax.nn.sigmoid(a[0] + s[0]), jax.nn.sigmoid(a[1] + s[1])
    return ((1 - z) * jnp.tanh(a[2] + r * s[2]) + z * hidden,)


def by_hand(cell, states, x, lengths, *weights, reverse=False):
    """One sequence after the other, one token after the other, and no padding."""
    out = []
    for sequence, length in zip(x, np.asarray(lengths)):
        places = range(length)[::-1] if reverse else range(length)
        state = (jnp.zeros(weights[1].shape[0]),) * states
        rows = [jnp.zeros(weights[1].shape[0])] * x.shape[1]
        for place in places:
            state = cell(sequence[place], state, *weights)
            rows[place] = state[0]
        out.append(jnp.stack(rows))
    return jnp.stack(out)


LAYERS = [
    pytest.param(lstm, partial(by_hand, lstm_cell, 2), weights(4, 1), id="lstm"),
    pytest.param(gru, partial(by_hand, gru_cell, 1), weights(3, 2), id="gru"),
]
OTHER = pytest.param(*LAYERS[1].values, id="gru", marks=LONG)
EACH = pytest.mark.parametrize(("layer", "reference", "params"), LAYERS)
ONE = pytest.mark.parametrize(("layer", "reference", "params"), [LAYERS[0], OTHER])


def value_and_gradients(f, x, lengths, params, *, reverse=False):
    """The value, and the gradients of a sum whose weights differ from place to place, on padding too."""
    value, pull = jax.vjp(lambda x, *params: f(x, lengths, *params, reverse=reverse), x, *params)
    return value, *pull(normal(*value.shape, seed=9))


def assert_near(actual, expected, tolerance=1e-5):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, float(jnp.abs(b).max(initial=0))))


@EACH
@DIRECTIONS
def test_values_and_gradients_equal_those_of_the_formulas(layer, reference, params, reverse):
    x = normal(3, 7, 6)
    run = jax.jit(partial(value_and_gradients, layer, reverse=reverse))
    with jax.numpy_rank_promotion("allow"):
        expected = value_and_gradients(reference, x, LENGTHS, params, reverse=reverse)
    actual = run(x, LENGTHS, params)
    assert_near(actual, expected)
    padding = np.arange(7)[None] >= np.asarray(LENGTHS)[:, None]
    assert not np.asarray(actual[0])[padding].any()
    assert not np.asarray(actual[1])[padding].any()  # nor has padding a gradient
    assert_near([layer(x, LENGTHS, *params, reverse=reverse)], expected[:1])  # not differentiated, it keeps less


@EACH
@DIRECTIONS
def test_what_padding_holds_and_how_much_there_is_changes_nothing(layer, reference, params, reverse):
    x = normal(3, 7, 6)
    run = partial(value_and_gradients, layer, lengths=LENGTHS, params=params, reverse=reverse)
    padding = (jnp.arange(7)[None] >= LENGTHS[:, None])[..., None]
    value, dx, *grads = run(jnp.where(padding, 0, x))
    other = run(jnp.where(padding, 1e3 * normal(3, 7, 6, seed=5), x))
    for a, b in zip(other, (value, dx, *grads), strict=True):
        np.testing.assert_array_equal(a, b)

    long = jnp.pad(x, ((0, 0), (0, 6), (0, 0)), constant_values=3)
    _, pull = jax.vjp(lambda x, *params: layer(x, LENGTHS, *params, reverse=reverse), long, *params)
    more = jnp.pad(normal(*value.shape, seed=9), ((0, 0), (0, 6), (0, 0)), constant_values=-2)
    assert_near([layer(long, LENGTHS, *params, reverse=reverse)[:, :7]], [value], 1e-6)
    dlong, *grads_long = pull(more)
    assert_near([dlong[:, :7], *grads_long], [dx, *grads], 1e-6)


@ONE
def test_reverse_is_the_reversed_sequence(layer, reference, params):
    x, lengths = normal(3, 7, 6), np.asarray(LENGTHS)

    def flip(y):
        return jnp.stack([jnp.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(y, lengths)])

    assert_near([layer(x, LENGTHS, *params, reverse=True)], [flip(layer(flip(x), LENGTHS, *params))], 1e-6)


@ONE
def test_an_empty_sequence_gives_zeros(layer, reference, params):
    x = normal(2, 3, 6)
    value, *grads = value_and_gradients(layer, x, jnp.zeros(2, jnp.int32), params)
    for a in (value, *grads):
        assert not np.asarray(a).any()


@ONE
def test_training_in_a_loop(layer, reference, params):
    x = normal(3, 7, 6)

    def step(_, params, *, f):
        grads = jax.grad(lambda params: jnp.square(f(x, LENGTHS, *params) - 0.3).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, grads)

    actual = jax.jit(lambda params: lax.fori_loop(0, 3, partial(step, f=layer), params))(params)
    expected = params
    for number in range(3):
        with jax.numpy_rank_promotion("allow"):
            expected = step(number, expected, f=reference)
    assert_near(actual, expected)


@EACH
@DIRECTIONS
def test_export_for_any_batch_and_length(layer, reference, params, reverse):
    b, t = jax.export.symbolic_shape("b, t")
    shapes = jax.ShapeDtypeStruct((b, t, 6), jnp.float32), jax.ShapeDtypeStruct((b,), jnp.int32)
    exported = jax.export.export(jax.jit(lambda x, n: layer(x, n, *params, reverse=reverse)))(*shapes)
    call = jax.jit(jax.export.deserialize(exported.serialize()).call)
    for batch, time in ((3, 7), (1, 1), (2, 12)):
        x, lengths = normal(batch, time, 6), LENGTHS[:batch]
        assert_near([call(x, lengths)], [layer(x, lengths, *params, reverse=reverse)], 1e-6)


@ONE
def test_export_of_the_gradient_for_the_inputs(layer, reference, params):
    b, t = jax.export.symbolic_shape("b, t")

    def saliency(x, lengths):
        return jax.grad(lambda x: jnp.square(layer(x, lengths, *params)).sum())(x)

    shapes = jax.ShapeDtypeStruct((b, t, 6), jnp.float32), jax.ShapeDtypeStruct((b,), jnp.int32)
    exported = jax.export.export(jax.jit(saliency))(*shapes)
    assert_near([jax.jit(exported.call)(normal(3, 7, 6), LENGTHS)], [saliency(normal(3, 7, 6), LENGTHS)], 1e-6)


def test_lstm_equals_flax():
    params, x = weights(4, 1), normal(2, 7, 6)
    kernel, recurrent, bias = params
    cell = nnx.OptimizedLSTMCell(6, 5, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = kernel
    cell.dense_h.kernel[...] = recurrent
    assert cell.dense_h.bias is not None
    cell.dense_h.bias[...] = bias + jnp.repeat(jnp.array([0.0, 1, 0, 0]), 5)  # i, f, g, o there too
    carry = jnp.zeros((2, 5)), jnp.zeros((2, 5))
    rows = []
    with jax.numpy_rank_promotion("allow"):
        for token in x.transpose(1, 0, 2):
            carry, row = cell(carry, token)
            rows.append(row)
    assert_near([lstm(x, jnp.array([7, 7]), *params)], [jnp.stack(rows, axis=1)])
