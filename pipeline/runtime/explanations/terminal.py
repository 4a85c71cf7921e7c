"""Texts with coloured parts in a terminal, or as a list of parts where there are no colours."""

import os
import sys
from collections.abc import Sequence

from .. import printing

# Of 256 colours, as backgrounds with a letter colour that is read on them: the stronger, the further right.
RED = ("48;5;224;38;5;16", "48;5;217;38;5;16", "48;5;203;38;5;16", "48;5;160;38;5;231")
BLUE = ("48;5;189;38;5;16", "48;5;153;38;5;16", "48;5;69;38;5;16", "48;5;21;38;5;231")
LEAST = 0.1  # of the largest weight: a weaker part is not coloured
LISTED, FEW, SMALLEST = 10, 4, 5e-5  # parts in a list, on one line, and the weight of one, at least


def has_colours() -> bool:
    """Whether standard output is a terminal with colours, unless NO_COLOR or FORCE_COLOR says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def coloured(pieces: Sequence[str], shares: Sequence[float]) -> str:
    """The text with colours by the parts' weights of -1 to 1; it controls the terminal in no other way."""
    return "".join(
        f"\x1b[{_colour(share)}m{shown}\x1b[0m" if abs(share) >= LEAST and shown.strip() else shown
        for piece, share in zip(pieces, shares)
        for shown in (printing.shown(piece),)
    )


def _colour(share: float) -> str:
    steps = RED if share > 0 else BLUE
    return steps[min(int(abs(share) * len(steps)), len(steps) - 1)]


def strongest(pieces: Sequence[str], weights: Sequence[float]) -> list[str]:
    """The few parts with the largest weights, each with its weight."""
    order = sorted(range(len(pieces)), key=lambda i: -abs(weights[i]))
    kept = [i for i in order if pieces[i].strip() and abs(weights[i]) >= SMALLEST][:FEW]
    return [f"{' '.join(pieces[i].split())} {weights[i]:+.2f}" for i in kept]


def listed(pieces: Sequence[str], weights: Sequence[float]) -> list[str]:
    """The parts with the largest weights, a line each, in the order of their weights."""
    order = sorted(range(len(pieces)), key=lambda i: -abs(weights[i]))
    kept = [i for i in order if pieces[i].strip() and abs(weights[i]) >= SMALLEST][:LISTED]
    lines = [f"{weights[i]:+12.4f}  {' '.join(pieces[i].split())}" for i in sorted(kept, key=lambda i: -weights[i])]
    return lines or ["     (no part changes it)"]
