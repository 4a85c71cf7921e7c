"""What a stage does when the DVC that started it is gone."""

import os
import signal

import pytest

from pipeline.runtime.errors import Stop
from pipeline.stages import parent_watch


@pytest.mark.parametrize(("since", "sent"), [(None, [signal.SIGTERM]), (0.0, [])])
def test_a_stage_that_is_ending_already_gets_no_second_signal(since, sent, monkeypatch):
    """`timeout`, systemd and batch systems send SIGTERM to DVC and to its stage at the same time."""
    signals: list[int] = []

    def kill(pid: int, number: int) -> None:
        signals.append(number)
        Stop.note()

    monkeypatch.setattr(Stop, "since", since)
    monkeypatch.setattr(parent_watch, "PATIENCE", 0.0)
    monkeypatch.setattr(os, "kill", kill)
    parent_watch._watch(started_by=-1, parents=[])
    assert signals == sent
