"""A recurrence that is linear in its state. Axes: b batch, t time, d width."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def parallel_scan(
    kept: Float[Array, "b t d"], entering: Float[Array, "b t d"], start: Float[Array, "b d"]
) -> Float[Array, "b t d"]:
    """The states h_t = kept_t h_(t-1) + entering_t, where h_0 is `start`.

    An associative scan (Blelloch 1990; Martin and Cundy 2018, arXiv:1709.04057): log t passes over the data instead of
    t steps one after the other. Its gradient is the same recurrence backward, and so is this one's: what the scan
    computes on its way need not be kept.
    """
    first = entering[:, :1] + kept[:, :1] * start[:, None]
    return _scanned(kept, jnp.concatenate([first, entering[:, 1:]], axis=1))


def sequential_scan(
    kept: Float[Array, "b t d"], entering: Float[Array, "b t d"], start: Float[Array, "b d"]
) -> Float[Array, "b t d"]:
    """The same, step by step: for a few tokens, and for as many as are known only when it runs."""

    def step(state: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        state = at[0] * state + at[1]
        return state, state

    _, states = jax.lax.scan(step, start, (kept.transpose(1, 0, 2), entering.transpose(1, 0, 2)))
    return states.transpose(1, 0, 2)


def _both(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    """One step that does what the two do one after the other."""
    return left[0] * right[0], right[0] * left[1] + right[1]


@jax.custom_vjp
def _scanned(kept: Array, entering: Array) -> Array:
    return jax.lax.associative_scan(_both, (kept, entering), axis=1)[1]


def _forward(kept: Array, entering: Array) -> tuple[Array, tuple[Array, Array]]:
    states = _scanned(kept, entering)
    return states, (kept, states)


def _backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    kept, states = saved
    ahead = jnp.pad(kept[:, 1:], [(0, 0), (0, 1), (0, 0)])  # how much of a state's gradient comes from the next one's
    _, total = jax.lax.associative_scan(_both, (ahead, grad), axis=1, reverse=True)
    before = jnp.pad(states[:, :-1], [(0, 0), (1, 0), (0, 0)])
    return total * before, total


_scanned.defvjp(_forward, _backward)
