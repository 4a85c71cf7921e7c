"""Recurrent layers over padded sequences, with gradients that are fast on a CPU. Who owns the weights it does not know.

Padding is on the right; the outputs there are zeros, and what it holds, as long as it is finite, changes no number
and no gradient. Axes: b batch, t time, d width of the input, h width of the state, gates 4 h or 3 h: the columns
of all the gates. Inside, time comes first.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

SHUT = -1e3  # into a sigmoid gate: tanh of it is -1, so the gate is 0 and not just small


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

    where h' and c' are those of the step before, at first zeros. The columns of the weights are in the order i, f, g,
    o, as in torch and Keras. The 1 is a constant of this layer, so a bias of zeros starts with an open forget gate.

    With `reverse`, each sequence is read from its own last token to its first; output and token keep their places.

    Only the product with the state is left inside the loop: that with the input is made before it, and the gradients
    of all but the state after it. Reverse-mode differentiation only.
    """
    return _lstm(x, lengths, kernel, recurrent, bias, reverse)


State = tuple[Float[Array, "b h"], Float[Array, "b h"]]  # an LSTM's: what it says, and its cell


def lstm_steps(
    x: Float[Array, "b t d"],
    kernel: Float[Array, "d gates"],
    recurrent: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    state: State,
) -> tuple[Float[Array, "b t h"], State]:
    """The `lstm` from another state than zeros, over sequences without padding; and the state after them."""
    lengths = jnp.full(x.shape[0], x.shape[1])
    state, (hidden,) = _lstm_states(x, lengths, kernel, recurrent, bias, False, keep=False, start=state)
    return hidden.transpose(1, 0, 2), state


def _real(x: Array, lengths: Array) -> Array:
    """Which places are not padding: `t b 1`."""
    return (jnp.arange(x.shape[1])[:, None] < lengths[None])[..., None]


def _columns(*values: float, h: int) -> Array:
    """A row with one value for all the columns of each gate."""
    return jnp.asarray(np.repeat(np.array(values, np.float32), h))[None]


def _lstm_states(
    x: Array,
    lengths: Array,
    kernel: Array,
    recurrent: Array,
    bias: Array,
    reverse: bool,
    keep: bool,
    start: State | None = None,
) -> tuple[State, tuple[Array, ...]]:
    """The last state; and all of them, time first, with `keep` beside what the gradient needs."""
    h = recurrent.shape[0]
    # One tanh for all gates, as sigmoid(z) = tanh(z / 2) / 2 + 1 / 2: half the time of a sigmoid for each of three.
    scale, shift = _columns(0.5, 0.5, 1.0, 0.5, h=h), _columns(0.5, 0.5, 0.0, 0.5, h=h)
    bias = (bias[None] + _columns(0.0, 1.0, 0.0, 0.0, h=h)) * scale
    recurrent = recurrent * scale
    # On padding nothing enters the cell and nothing leaves it. So a reversed sequence starts at its last token with
    # a cell of zeros, and the gradients for all that happens on padding are zeros.
    shut = _columns(SHUT, 0.0, 0.0, SHUT, h=h)

    def step(carry: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        (hidden, cell), (z, real) = carry, at
        z = jnp.where(real, z + hidden @ recurrent + bias, shut)
        i, f, g, o = jnp.split(jnp.tanh(z) * scale + shift, 4, axis=1)
        new_cell = f * cell + i * g
        new = o * jnp.tanh(new_cell)
        # Kept one by one: slices of one array of four gates take the backward loop half as long again.
        return (new, new_cell), (new, hidden, cell, i, f, g, o) if keep else (new,)

    zeros = jnp.zeros((x.shape[0], h), x.dtype)
    inputs = x.transpose(1, 0, 2) @ (kernel * scale), _real(x, lengths)
    return lax.scan(step, start or (zeros, zeros), inputs, reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def _lstm(x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, reverse: bool) -> Array:
    _, (hidden,) = _lstm_states(x, lengths, kernel, recurrent, bias, reverse, keep=False)
    return hidden.transpose(1, 0, 2)


def _lstm_forward(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, reverse: bool
) -> tuple[Array, tuple[Array, ...]]:
    _, (hidden, *kept) = _lstm_states(x, lengths, kernel, recurrent, bias, reverse, keep=True)
    return hidden.transpose(1, 0, 2), (x, kernel, recurrent, *kept)


def _lstm_backward(reverse: bool, saved: tuple[Array, ...], grad: Array) -> tuple[Array, None, Array, Array, Array]:
    x, kernel, recurrent, hidden, *gates = saved

    def step(carry: tuple[Array, Array], at: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        (dhidden, dcell), (grad, cell, i, f, g, o) = carry, at
        squashed = jnp.tanh(f * cell + i * g)
        dhidden = dhidden + grad
        dcell = dcell + dhidden * o * (1 - squashed * squashed)
        of_i, of_f = dcell * g * i * (1 - i), dcell * cell * f * (1 - f)
        of_g, of_o = dcell * i * (1 - g * g), dhidden * squashed * o * (1 - o)
        dz = jnp.concatenate([of_i, of_f, of_g, of_o], axis=1)
        return (dz @ recurrent.T, dcell * f), dz

    end = jnp.zeros(hidden.shape[1:], hidden.dtype)
    _, dz = lax.scan(step, (end, end), (grad.transpose(1, 0, 2), *gates), reverse=not reverse)
    dx, dkernel, dbias = _of_inputs(x, kernel, dz)
    return dx, None, dkernel, _product(hidden, dz), dbias


def _product(x: Array, dz: Array) -> Array:
    """The gradient for weights: x^T dz over all times and sequences."""
    return x.reshape(-1, x.shape[2]).T @ dz.reshape(-1, dz.shape[2])


def _of_inputs(x: Array, kernel: Array, dz: Array) -> tuple[Array, Array, Array]:
    """The gradients for x, kernel and bias of x kernel + bias; `dz` is time first, `x` is not."""
    dx = (dz @ kernel.T).transpose(1, 0, 2)
    return dx, _product(x.transpose(1, 0, 2), dz), dz.sum(axis=(0, 1))


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
    """Gated recurrent unit (Cho et al. 2014), its reset gate after the product, as in cuDNN, torch and Keras.

        r, z = sigmoid(a_r + s_r), sigmoid(a_z + s_z)    of a = x kernel + bias, s = h' recurrent + recurrent_bias
        n = tanh(a_n + r s_n)
        h = (1 - z) n + z h'

    where h' is that of the step before, at first zeros. The columns of the weights are in the order r, z, n, as in
    torch; Keras has z, r, n. `reverse` and the gradient are as in `lstm`.
    """
    return _gru(x, lengths, kernel, recurrent, bias, recurrent_bias, reverse)


def _gru_states(
    x: Array,
    lengths: Array,
    kernel: Array,
    recurrent: Array,
    bias: Array,
    recurrent_bias: Array,
    reverse: bool,
    keep: bool,
) -> tuple[Array, ...]:
    """The states, time first, and with `keep` what the gradient needs."""
    h = recurrent.shape[0]
    scale = _columns(0.5, 0.5, 1.0, h=h)  # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2, as in the LSTM
    kernel, recurrent = kernel * scale, recurrent * scale
    gates = (bias + recurrent_bias)[None, : 2 * h] * scale[:, : 2 * h]
    bias, recurrent_bias = bias[None, 2 * h :], recurrent_bias[None, 2 * h :]

    def step(hidden: Array, at: tuple[Array, Array]) -> tuple[Array, tuple[Array, ...]]:
        a, real = at
        s = hidden @ recurrent
        r, z = jnp.split(jnp.tanh(a[:, : 2 * h] + s[:, : 2 * h] + gates) * 0.5 + 0.5, 2, axis=1)
        of_state = s[:, 2 * h :] + recurrent_bias
        n = jnp.tanh(a[:, 2 * h :] + bias + r * of_state)
        new = jnp.where(real, n + z * (hidden - n), 0)
        return new, (new, hidden, of_state, r, z, n) if keep else (new,)

    start = jnp.zeros((x.shape[0], h), x.dtype)
    return lax.scan(step, start, (x.transpose(1, 0, 2) @ kernel, _real(x, lengths)), reverse=reverse)[1]


@partial(jax.custom_vjp, nondiff_argnums=(6,))
def _gru(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array, reverse: bool
) -> Array:
    (hidden,) = _gru_states(x, lengths, kernel, recurrent, bias, recurrent_bias, reverse, keep=False)
    return hidden.transpose(1, 0, 2)


def _gru_forward(
    x: Array, lengths: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array, reverse: bool
) -> tuple[Array, tuple[Array, ...]]:
    hidden, *kept = _gru_states(x, lengths, kernel, recurrent, bias, recurrent_bias, reverse, keep=True)
    return hidden.transpose(1, 0, 2), (x, lengths, kernel, recurrent, *kept)


def _gru_backward(
    reverse: bool, saved: tuple[Array, ...], grad: Array
) -> tuple[Array, None, Array, Array, Array, Array]:
    x, lengths, kernel, recurrent, hidden, *gates = saved

    def step(dhidden: Array, at: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        grad, real, hidden, of_state, r, z, n = at
        dhidden = jnp.where(real, dhidden + grad, 0)
        of_n = dhidden * (1 - z) * (1 - n * n)
        of_r, of_z = of_n * of_state * r * (1 - r), dhidden * (hidden - n) * z * (1 - z)
        ds = jnp.concatenate([of_r, of_z, of_n * r], axis=1)
        return ds @ recurrent.T + dhidden * z, (ds, of_n)

    end = jnp.zeros(hidden.shape[1:], hidden.dtype)
    inputs = grad.transpose(1, 0, 2), _real(x, lengths), hidden, *gates
    _, (ds, of_n) = lax.scan(step, end, inputs, reverse=not reverse)
    da = jnp.concatenate([ds[..., : -of_n.shape[2]], of_n], axis=2)  # the same but where the reset gate comes in
    dx, dkernel, dbias = _of_inputs(x, kernel, da)
    return dx, None, dkernel, _product(hidden, ds), dbias, ds.sum(axis=(0, 1))


_gru.defvjp(_gru_forward, _gru_backward)
