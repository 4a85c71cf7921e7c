"""The end of a text that is being written, where a certain text begins."""

from collections.abc import Iterable, Iterator


def until(parts: Iterable[str], stop: str | None) -> Iterator[str]:
    """The parts of a text up to `stop`, which is left out. Text that may be the beginning of `stop` is held back."""
    held = ""
    for part in parts:
        held += part
        if stop is None:
            yield held
            held = ""
        elif stop in held:
            yield held.partition(stop)[0]
            return
        else:
            safe = len(held) - next(n for n in range(min(len(stop) - 1, len(held)), -1, -1) if held.endswith(stop[:n]))
            yield held[:safe]
            held = held[safe:]
    yield held
