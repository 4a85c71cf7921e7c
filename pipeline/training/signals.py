"""Ctrl-C and SIGTERM, put off until there is a good moment to end."""

import signal
from types import FrameType, TracebackType

BOTH = (signal.SIGINT, signal.SIGTERM)


class Postponed:
    """While it lasts, the first signal is noted as `number`; a second one ends the process as usual, at once."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> "Postponed":
        self._usual = {number: signal.getsignal(number) for number in BOTH}
        for number in BOTH:
            signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._back()

    def _back(self) -> None:
        for number, usual in self._usual.items():
            signal.signal(number, usual)
