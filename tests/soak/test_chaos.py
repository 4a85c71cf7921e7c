"""A short run of the harness that interrupts, damages and fills at random: `make soak` has the long one."""

import chaos
import pytest
from repro import Pipeline
from tally import Log

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("interruption")]  # for the measured clone


def test_chaos(measured: Pipeline, tmp_path):
    measured.restore("whole")
    log = Log(tmp_path / "chaos.jsonl")
    chaos.run(measured, log, seed=0, kills=1, damages=1, full=())
    print(log.rows())
    assert not log.wrong()
    assert sum(tally.tried for tally in log.tallies.values()) >= 2
