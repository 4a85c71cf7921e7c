"""A short run of the harness that interrupts, damages and fills at random."""

import chaos
import pytest


@pytest.mark.slow
def test_chaos(tmp_path):
    log = chaos.run(tmp_path, seed=0, kills=5, damages=3)
    print(log.table())
    assert not [what for tally in log.tallies.values() for what in tally.lost]
    assert sum(tally.tried for fault, tally in log.tallies.items() if fault != "none") >= 8
