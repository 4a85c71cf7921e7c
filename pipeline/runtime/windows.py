"""The windows in which a text is read that is longer than a model's context: one rule, in evaluation and in use.

A document is read by itself, in windows of `context` tokens that each begin half a window after the one before, the
last one flush with the end. So a token is predicted from at least half a window, or else from the document's beginning.
Another rule gives another loss. Axes: n windows.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Windows(NamedTuple):
    """Of the tokens after the first one of each, `end` are there, and all but the first `skip` of them are scored."""

    first: Int[np.ndarray, " n"]
    skip: Int[np.ndarray, " n"]
    end: Int[np.ndarray, " n"]


def windows(starts: Iterable[int], context: int) -> Windows:
    """Windows in which each token but the first of each document is scored once; `starts` says where each document
    begins, and where the last one ends.
    """
    found, borders = [], list(starts)
    for start, end in zip(borders, borders[1:]):
        done = start  # up to here all are scored
        while done < end - 1:
            at = start if done == start else max(start, min(done - context // 2, end - 1 - context))
            last = min(at + context, end - 1)
            found.append((at, done - at, last - at))
            done = last
    return Windows(*np.array(found, np.int64).reshape(-1, 3).T)
