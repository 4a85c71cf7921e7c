"""Signals, deferred until training can save, and end if they ask it to."""

import signal
from types import FrameType, TracebackType
from typing import Self

from pipeline.runtime.errors import Stop, Stopped, caught

SAVE = signal.SIGUSR2  # asks for a checkpoint, after which training goes on


class DeferredSignals:
    """In this context a signal is only recorded: the first that asks to end in `received`, one that asks for a
    checkpoint in `save`. A person's second Ctrl-C raises Stopped at once.
    """

    def __init__(self) -> None:
        self.received, self.save = 0, False

    def __enter__(self) -> Self:
        numbers = [*caught(), SAVE]
        self._handlers = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, self._record)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number == SAVE:
            self.save = True
        elif not self.received:
            self.received = number
            Stop.note()
        elif Stop.insists(number):
            raise Stopped(number)
