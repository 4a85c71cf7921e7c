"""A recurrence that is linear in its state. Axes: b batch, t time, d width."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def parallel_scan(
    decay: Float[Array, "b t d"], inputs: Float[Array, "b t d"], initial_state: Float[Array, "b d"]
) -> Float[Array, "b t d"]:
    """The states h_t = decay_t h_(t-1) + inputs_t, where h_0 is `initial_state`.

    An associative scan (Blelloch 1990; Martin and Cundy 2018, arXiv:1709.04057): log t passes over the data in place of
    t steps. Its gradient is the same recurrence, run backward; written as such, it needs none of the scan's
    intermediate results.
    """
    first = inputs[:, :1] + decay[:, :1] * initial_state[:, None]
    return _scan(decay, jnp.concatenate([first, inputs[:, 1:]], axis=1))


def sequential_scan(
    decay: Float[Array, "b t d"], inputs: Float[Array, "b t d"], initial_state: Float[Array, "b d"]
) -> Float[Array, "b t d"]:
    """The same, step by step: for a few tokens, or for a number of tokens that is known only at run time."""

    def step(state: Array, scanned: tuple[Array, Array]) -> tuple[Array, Array]:
        decay, inputs = scanned  # b d
        state = decay * state + inputs
        return state, state

    _, states = jax.lax.scan(step, initial_state, (decay.transpose(1, 0, 2), inputs.transpose(1, 0, 2)))
    return states.transpose(1, 0, 2)


def _compose(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """The one step that does what the two do in turn, each as (decay, inputs)."""
    return first[0] * second[0], second[0] * first[1] + second[1]


@jax.custom_vjp
def _scan(decay: Array, inputs: Array) -> Array:
    """The states, from an initial state of zeros."""
    return jax.lax.associative_scan(_compose, (decay, inputs), axis=1)[1]


def _forward(decay: Array, inputs: Array) -> tuple[Array, tuple[Array, Array]]:
    states = _scan(decay, inputs)
    return states, (decay, states)


def _backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    decay, states = saved
    next_decay = jnp.pad(decay[:, 1:], [(0, 0), (0, 1), (0, 0)])
    _, dinputs = jax.lax.associative_scan(_compose, (next_decay, grad), axis=1, reverse=True)
    previous = jnp.pad(states[:, :-1], [(0, 0), (1, 0), (0, 0)])
    return dinputs * previous, dinputs


_scan.defvjp(_forward, _backward)
