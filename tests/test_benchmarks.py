"""Rows of the benchmarks' table. Nothing is timed here: `make bench-quick` does that."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks import alone, results
from benchmarks.kernels import operations
from benchmarks.row import Row, Turn, in_turns
from pipeline.layers.convolution import conv


def turns(*figures, **facts):
    """Gives one figure after another, each with the facts."""
    rest = iter(figures)
    return lambda: Turn(next(rest), facts)


def test_a_ratio_is_above_1_where_we_are_faster():
    assert Row("x", "ms", (2.0, 4.0), "y", (4.0, 4.0)).ratios == (2.0, 1.0)
    assert Row("x", "images/s", (2.0, 4.0), "y", (4.0, 4.0)).ratios == (0.5, 1.0)


@pytest.mark.parametrize(("unit", "best"), [("ms", (1.0, 2.0)), ("images/s", (5.0, 6.0))])
def test_the_better_of_several_settings_counts(unit, best):
    settings = {"eager": turns(1.0, 2.0), "compiled": turns(5.0, 6.0)}
    assert in_turns("x", unit, {"": turns(1.0, 1.0)}, settings, rounds=2).theirs == best


def test_other_work_is_a_failure():
    ours, theirs = {"": turns(1.0, parameters=10, loss=2.0)}, {"y": turns(1.0, parameters=10, loss=2.3)}
    row = in_turns("x", "ms", ours, theirs, rounds=1, within={"parameters": 0.0, "loss": 0.1})
    assert row.problem == "x: loss is 2 here and 2.3 in the peer, which is other work"
    with pytest.raises(SystemExit, match="error: x: loss is 2 here"):
        alone.leave([row])


def test_the_last_column_shows_what_is_the_same():
    ours, theirs = {"": turns(1.0, parameters=10, loss=2.0)}, {"y": turns(1.0, parameters=10, loss=2.1)}
    row = in_turns("x", "ms", ours, theirs, rounds=1, within={"parameters": 0.0, "loss": 0.1})
    assert row.same == "parameters 10, loss 2.00 and 2.10"
    assert not row.problem


def test_a_peer_that_ends_in_an_error_fails_its_row_alone():
    row = in_turns("x", "ms", {"": turns(1.0)}, {"y": turns()}, rounds=1)
    assert row.failed
    assert "| x |  | failed | y |" in results.table([row])


def test_a_lost_fast_path_is_a_failure():
    row = in_turns("x", "ms", {"": turns(2.0)}, {"the library's": turns(3.0)}, rounds=1, least=2)
    assert row.problem == "x: 1.50 times as fast as the library's, and must be 2 times"
    assert not in_turns("x", "ms", {"": turns(2.0)}, {"y": turns(3.0)}, rounds=1, least=1.1).problem


def test_operations_in_loops_and_branches_are_all_counted():
    x, w = jnp.ones((8, 64)), jnp.ones((64, 64))
    step = 2 * 8 * 64 * 64 + 8 * 64  # a product, and a tanh of each of its elements

    def loop(x, w):
        return lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, None, length=50)[0]

    assert operations.count(loop, x, w) == 50 * step
    assert operations.count(jax.jit(loop), x, w) == 50 * step
    assert operations.count(lambda x, w: lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: x), x, w) == step - 8 * 64
    with pytest.raises(ValueError, match="an unknown number of times"):
        operations.count(lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_its_gradients_take_as_many_operations_each(stride):
    x, kernel = jnp.ones((2, 16, 16, 4)), jnp.ones((1, 1, 4, 8))
    forward = 2 * (2 * (16 // stride) ** 2 * 8) * 4
    strided = partial(conv, stride=stride)
    assert operations.count(strided, x, kernel) == forward
    assert operations.count(lambda x, k: jax.vjp(strided, x, k)[1](strided(x, k)), x, kernel) == pytest.approx(
        4 * forward, rel=0.02
    )
