"""LSTM and GRU over padded sequences, as functions of their weights, with gradients that are fast on a CPU.

Padding is on the right; the outputs there are zeros, and its content, as long as it is finite, changes no output and no
gradient. Axes: b batch, t time, d width of the input, h width of the state, gates 4 h or 3 h: the columns of all gates.
Inside, time comes first.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

CLOSED = -1e3  # as input of a sigmoid gate: tanh of it is -1, so the gate is 0 and not just small

State = tuple[Float[Array, "b h"], Float[Array, "b h"]]  # of an LSTM: its output h, and its cell c


def init_recurrent(rngs: nnx.Rngs, width: int, *, gates: int) -> Float[Array, "h gates"]:
    """An orthogonal matrix for each gate (Saxe et al. 2014, arXiv:1312.6120), side by side."""
    init = nnx.initializers.orthogonal()
    return jnp.concatenate([init(rngs.params(), (width, width)) for _ in range(gates)], axis=1)


def lstm(
    x: Float[Array, "b t d"],
    lengths: Int[Array, " b"],
    kernel: Float[Array, "d gates"],
    recurrent: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    *,
    reverse: bool = False,
) -> Float[Array, "b t h"]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

        i, f, g, o = sigmoid(z_i), sigmoid(z_f + 1), tanh(z_g), sigmoid(z_o)    of z = x kernel + h' recurrent + bias
        c = f c' + i g
        h = o tanh(c)

    where h' and c' are those of the previous step, initially zeros. The columns of the weights are in the order i, f,
    g, o, as in PyTorch and Keras. The 1 is a constant of this layer: with a bias of zeros the forget gate starts open.

    With `reverse`, each sequence is read from its own last token to its first; each output stays at its token's place.

    The loop over time holds only what depends on the state: the product with the input comes before it, and all
    gradients but the state's after it. Reverse-mode differentiation only.
    """
    return _lstm(x, lengths, kernel, recurrent, bias, reverse)


def lstm_from_state(
    x: Float[Array, "b t d"],
    kernel: Float[Array, "d gates"],
    recurrent: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    initial_state: State,
) -> tuple[Float[Array, "b t h"], State]:
    """The outputs of `lstm` for sequences without padding that start from `initial_state`, and the state after them."""
    lengths = jnp.full(x.shape[0], x.shape[1])
    state, (hidden,) = _scan_lstm(
        x, lengths, kernel, recurrent, bias, reverse=False, for_gradient=False, initial_state=initial_state
    )
    return hidden.transpose(1, 0, 2), state


def _is_token(x: Array, lengths: Array) -> Array:
    """False at padding: `t b 1`."""
    return (jnp.arange(x.shape[1])[:, None] < lengths[None])[..., None]


def _columns(*values: float, h: int) -> Array:
    """A row that repeats each gate's value for all of the gate's columns: `1 gates`."""
    return jnp.asarray(np.repeat(np.array(values, np.float32), h))[None]


def _scan_lstm(
    x: Array,
    lengths: Array,
    kernel: Array,
    recurrent: Array,
    bias: Array,
    *,
    reverse: bool,
    for_gradient: bool,
    initial_state: State | None = None,
) -> tuple[State, tuple[Array, ...]]:
    """The last state, and the outputs, time first; `for_gradient` with all that the gradient needs."""
    h = recurrent.shape[0]
    # One tanh for all gates, as sigmoid(z) = tanh(z / 2) / 2 + 1 / 2: half the time of a sigmoid for each of three.
    scale, shift = _columns(0.5, 0.5, 1.0, 0.5, h=h), _columns(0.5, 0.5, 0.0, 0.5, h=h)
    bias = (bias[None] + _columns(0.0, 1.0, 0.0, 0.0, h=h)) * scale
    recurrent = recurrent * scale
    # On padding the input and output gates are closed. So a reversed sequence starts at its last token with a cell of
    # zeros, and the gradients of all steps on padding are zeros.
    closed = _columns(CLOSED, 0.0, 0.0, CLOSED, h=h)

    def step(state: State, inputs: tuple[Array, Array]) -> tuple[State, tuple[Array, ...]]:
        (hidden, cell), (z, is_token) = state, inputs
        z = jnp.where(is_token, z + hidden @ recurrent + bias, closed)
        i, f, g, o = jnp.split(jnp.tanh(z) * scale + shift, 4, axis=1)
        new_cell = f * cell + i * g
        new_hidden = o * jnp.tanh(new_cell)
        # As arrays of their own: slices of one array of four gates would make the backward loop 1.5 times as slow.
        saved = (hidden, cell, i, f, g, o) if for_gradient else ()
        return (new_hidden, new_cell), (new_hidden, *saved)

    zeros = jnp.zeros((x.shape[0], h), x.dtype)
    inputs = x.transpose(1, 0, 2) @ (kernel * scale), _is_token(x, lengths)
    return lax.scan(step, initial_state or (zeros, zeros), inputs, reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def _lstm(x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, reverse: bool) -> Array:
    _, (hidden,) = _scan_lstm(x, lengths, kernel, recurrent, bias, reverse=reverse, for_gradient=False)
    return hidden.transpose(1, 0, 2)


def _lstm_forward(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, reverse: bool
) -> tuple[Array, tuple[Array, ...]]:
    _, (hidden, *saved) = _scan_lstm(x, lengths, kernel, recurrent, bias, reverse=reverse, for_gradient=True)
    return hidden.transpose(1, 0, 2), (x, kernel, recurrent, *saved)


def _lstm_backward(reverse: bool, saved: tuple[Array, ...], grad: Array) -> tuple[Array, None, Array, Array, Array]:
    x, kernel, recurrent, previous_hidden, *cell_and_gates = saved

    def step(dstate: State, inputs: tuple[Array, ...]) -> tuple[State, Array]:
        (dhidden, dcell), (grad, previous_cell, i, f, g, o) = dstate, inputs
        tanh_cell = jnp.tanh(f * previous_cell + i * g)
        dhidden = dhidden + grad
        dcell = dcell + dhidden * o * (1 - tanh_cell * tanh_cell)
        dz_i, dz_f = dcell * g * i * (1 - i), dcell * previous_cell * f * (1 - f)
        dz_g, dz_o = dcell * i * (1 - g * g), dhidden * tanh_cell * o * (1 - o)
        dz = jnp.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        return (dz @ recurrent.T, dcell * f), dz

    zeros = jnp.zeros(previous_hidden.shape[1:], previous_hidden.dtype)
    _, dz = lax.scan(step, (zeros, zeros), (grad.transpose(1, 0, 2), *cell_and_gates), reverse=not reverse)
    dx, dkernel, dbias = _input_gradients(x, kernel, dz)
    return dx, None, dkernel, _weight_gradient(previous_hidden, dz), dbias


def _weight_gradient(x: Array, dz: Array) -> Array:
    """x^T dz, summed over all times and sequences."""
    return x.reshape(-1, x.shape[2]).T @ dz.reshape(-1, dz.shape[2])


def _input_gradients(x: Array, kernel: Array, dz: Array) -> tuple[Array, Array, Array]:
    """The gradients of x, kernel and bias in z = x kernel + bias; `dz` is time first, `x` is not."""
    dx = (dz @ kernel.T).transpose(1, 0, 2)
    return dx, _weight_gradient(x.transpose(1, 0, 2), dz), dz.sum(axis=(0, 1))


_lstm.defvjp(_lstm_forward, _lstm_backward)


def gru(
    x: Float[Array, "b t d"],
    lengths: Int[Array, " b"],
    kernel: Float[Array, "d gates"],
    recurrent: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    recurrent_bias: Float[Array, " gates"],
    *,
    reverse: bool = False,
) -> Float[Array, "b t h"]:
    """Gated recurrent unit (Cho et al. 2014), its reset gate after the product, as in cuDNN, PyTorch and Keras.

        r, z = sigmoid(a_r + s_r), sigmoid(a_z + s_z)    of a = x kernel + bias, s = h' recurrent + recurrent_bias
        n = tanh(a_n + r s_n)
        h = (1 - z) n + z h'

    where h' is the state of the previous step, initially zeros. The columns of the weights are in the order r, z, n, as
    in PyTorch; Keras has z, r, n. `reverse` and the gradient are as in `lstm`.
    """
    return _gru(x, lengths, kernel, recurrent, bias, recurrent_bias, reverse)


def _scan_gru(
    x: Array,
    lengths: Array,
    kernel: Array,
    recurrent: Array,
    bias: Array,
    recurrent_bias: Array,
    *,
    reverse: bool,
    for_gradient: bool,
) -> tuple[Array, ...]:
    """The outputs, time first; `for_gradient` with all that the gradient needs."""
    h = recurrent.shape[0]
    scale = _columns(0.5, 0.5, 1.0, h=h)  # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2, as in the LSTM
    kernel, recurrent = kernel * scale, recurrent * scale
    gates = (bias + recurrent_bias)[None, : 2 * h] * scale[:, : 2 * h]
    bias, recurrent_bias = bias[None, 2 * h :], recurrent_bias[None, 2 * h :]

    def step(hidden: Array, inputs: tuple[Array, Array]) -> tuple[Array, tuple[Array, ...]]:
        a, is_token = inputs
        s = hidden @ recurrent
        r, z = jnp.split(jnp.tanh(a[:, : 2 * h] + s[:, : 2 * h] + gates) * 0.5 + 0.5, 2, axis=1)
        s_n = s[:, 2 * h :] + recurrent_bias
        n = jnp.tanh(a[:, 2 * h :] + bias + r * s_n)
        new_hidden = jnp.where(is_token, n + z * (hidden - n), 0)
        saved = (hidden, s_n, r, z, n) if for_gradient else ()
        return new_hidden, (new_hidden, *saved)

    zeros = jnp.zeros((x.shape[0], h), x.dtype)
    return lax.scan(step, zeros, (x.transpose(1, 0, 2) @ kernel, _is_token(x, lengths)), reverse=reverse)[1]


@partial(jax.custom_vjp, nondiff_argnums=(6,))
def _gru(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array, reverse: bool
) -> Array:
    weights = kernel, recurrent, bias, recurrent_bias
    (hidden,) = _scan_gru(x, lengths, *weights, reverse=reverse, for_gradient=False)
    return hidden.transpose(1, 0, 2)


def _gru_forward(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array, reverse: bool
) -> tuple[Array, tuple[Array, ...]]:
    weights = kernel, recurrent, bias, recurrent_bias
    hidden, *saved = _scan_gru(x, lengths, *weights, reverse=reverse, for_gradient=True)
    return hidden.transpose(1, 0, 2), (x, lengths, kernel, recurrent, *saved)


def _gru_backward(
    reverse: bool, saved: tuple[Array, ...], grad: Array
) -> tuple[Array, None, Array, Array, Array, Array]:
    x, lengths, kernel, recurrent, previous_hidden, *gates = saved

    def step(dhidden: Array, inputs: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        grad, is_token, previous_hidden, s_n, r, z, n = inputs
        dhidden = jnp.where(is_token, dhidden + grad, 0)
        da_n = dhidden * (1 - z) * (1 - n * n)
        da_r, da_z = da_n * s_n * r * (1 - r), dhidden * (previous_hidden - n) * z * (1 - z)
        ds = jnp.concatenate([da_r, da_z, da_n * r], axis=1)
        return ds @ recurrent.T + dhidden * z, (ds, da_n)

    zeros = jnp.zeros(previous_hidden.shape[1:], previous_hidden.dtype)
    inputs = grad.transpose(1, 0, 2), _is_token(x, lengths), previous_hidden, *gates
    _, (ds, da_n) = lax.scan(step, zeros, inputs, reverse=not reverse)
    da = jnp.concatenate([ds[..., : -da_n.shape[2]], da_n], axis=2)  # as ds, but n is not yet scaled by the reset gate
    dx, dkernel, dbias = _input_gradients(x, kernel, da)
    return dx, None, dkernel, _weight_gradient(previous_hidden, ds), dbias, ds.sum(axis=(0, 1))


_gru.defvjp(_gru_forward, _gru_backward)
