"""A short run of the harness that damages all that people hand to the project: `make soak` has the long one."""

from pathlib import Path

import fuzz
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]  # for the packages


def test_fuzz(four_packages: list[Path], tmp_path):
    outcomes, wrong = fuzz.run(tmp_path, four_packages, seed=1, numbers=range(100))
    assert not wrong
    assert sum(counts.total() for counts in outcomes.values()) == 100
    assert all(len(counts) > 1 for counts in outcomes.values()), outcomes  # all that is fuzzed is also answered
