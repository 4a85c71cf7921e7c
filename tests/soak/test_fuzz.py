"""A short run of the harness that damages all that people hand to the project: `make soak` has the long one."""

import fuzz
import pytest


@pytest.mark.slow
def test_fuzz(tmp_path):
    outcomes, wrong = fuzz.run(tmp_path, seed=0, numbers=range(80))
    assert not wrong
    assert sum(counts.total() for counts in outcomes.values()) == 80
    assert all(len(counts) > 1 for counts in outcomes.values()), outcomes  # all that is fuzzed is also answered
