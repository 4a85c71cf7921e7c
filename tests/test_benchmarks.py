"""Rows of the benchmarks' table. Nothing is timed here: `make bench-quick` does that."""

import pytest

from benchmarks import alone, results
from benchmarks.row import Row, Turn, in_turns


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
