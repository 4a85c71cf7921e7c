"""The windows in which a text longer than a model's context is read: one rule for evaluation and for packages.

Each document is read by itself, in windows of `context` tokens. A window starts half a window after the one before; the
last one ends with the document. So every token is predicted from at least half a window, or from the beginning of its
document. Another rule gives another loss. Axes: n windows.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Windows(NamedTuple):
    """For each window: its first token, how many predictions to skip, and how many there are."""

    first: Int[np.ndarray, " n"]
    skip: Int[np.ndarray, " n"]  # the window before has scored these
    end: Int[np.ndarray, " n"]


def windows(starts: Iterable[int], context: int) -> Windows:
    """Windows that score each token of each document once, except its first; `starts` says where each document begins,
    and where the last one ends.
    """
    rows, borders = [], list(starts)
    for start, end in zip(borders, borders[1:]):
        scored = start  # all tokens up to this one
        while scored < end - 1:
            first = start if scored == start else max(start, min(scored - context // 2, end - 1 - context))
            last = min(first + context, end - 1)
            rows.append((first, scored - first, last - first))
            scored = last
    return Windows(*np.array(rows, np.int64).reshape(-1, 3).T)
