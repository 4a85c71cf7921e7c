"""What an output loses without a part of a text (Li, Monroe, Jurafsky 2016, arXiv:1612.08220)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

EVALUATIONS = 128  # of the model for each text: a longer one is explained a few tokens at a time

Tokens = Integer[np.ndarray, " t"]


class Occlusion(NamedTuple):
    """Part i of a text is `tokens[starts[i] : starts[i + 1]]`: by how much the target's score falls without it."""

    starts: Int[np.ndarray, " m"]
    drops: Float[np.ndarray, " m-1"]


def occlusion(
    texts: Sequence[Tokens], targets: Sequence[int], scores: Callable[[list[Tokens]], Float[np.ndarray, "n k"]]
) -> list[Occlusion]:
    """What each part of each text adds to the score of the text's target. `scores` are those of texts, which may be
    empty. The whole text is explained; parts are single tokens where the text has no more than EVALUATIONS.
    """
    parts = [borders(len(tokens)) for tokens in texts]
    variants = [
        variant
        for tokens, starts in zip(texts, parts)
        for variant in (tokens, *(np.delete(tokens, slice(a, b)) for a, b in zip(starts, starts[1:])))
    ]
    if not variants:
        return []
    found = scores(variants)
    firsts = np.cumsum([0, *map(len, parts)])  # a text has as many variants as its parts have borders
    return [
        Occlusion(starts, found[first, target] - found[first + 1 : first + len(starts), target])
        for first, starts, target in zip(firsts, parts, targets)
    ]


def borders(size: int) -> Int[np.ndarray, " m"]:
    """The borders of at most EVALUATIONS parts of a text of `size` tokens."""
    step = max(1, -(-size // EVALUATIONS))
    return np.append(np.arange(0, size, step), size)
