"""A short run of the harness that damages all that people hand to the project."""

import fuzz
import pytest


@pytest.mark.slow
def test_fuzz(tmp_path):
    outcomes, found = fuzz.run(tmp_path, seed=0, cases=240)
    assert not found
    assert sum(counts.total() for counts in outcomes.values()) == 240
    assert all(len(counts) > 1 for counts in outcomes.values()), outcomes  # all that is fuzzed is also answered
