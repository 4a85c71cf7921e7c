"""How many inputs are answered, on a terminal alone, and only where it takes longer than a moment."""

import sys
import time

DELAY = 2.0  # seconds before the first line


class Progress:
    def __init__(self) -> None:
        self._start, self._shown = time.monotonic(), False
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def update(self, done: int) -> None:
        seconds = time.monotonic() - self._start
        if self._terminal and seconds > DELAY:
            print(f"\r{done:,} inputs, {done / seconds:,.0f} a second ", end="", file=sys.stderr, flush=True)
            self._shown = True

    def clear(self) -> None:
        """Makes room for another line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
