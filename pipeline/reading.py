"""How a language model takes a held-out text: each token of each document, predicted once, by the rule of `windows`.

Axes: n windows, or tokens, t tokens of a window.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from pipeline import mesh
from pipeline.corpus import Corpus
from pipeline.learner import Learner, Tree
from pipeline.tasks import Sums
from pipeline.windows import windows

TOKENS = 8_192  # read at a time, on each device


class Taken(NamedTuple):
    """Tokens by their place, and the Scores of each: its loss in nats, what was likeliest, and how likely that was."""

    place: Int[np.ndarray, " n"]
    token: Integer[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    guess: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]


def read(learn: Learner, params: Tree, rest: Tree, text: Corpus, context: int) -> Iterator[Taken]:
    """The scored tokens of all documents, in order, a batch of windows at a time."""
    plan = windows(text.starts.tolist(), context)
    size = max(1, TOKENS // context) * mesh.takers(learn.mesh)
    at = np.arange(context)[None]
    for start in range(0, len(plan.first), size):
        first, skip, end = (x[start : start + size] for x in plan)
        tokens = text.windows(np.pad(first, (0, size - len(first)), constant_values=-1), context + 1)
        scored = (at >= skip[:, None]) & (at < end[:, None])  # n t
        found = (np.asarray(x)[: len(first)][scored] for x in learn.surprise(params, rest, tokens))
        yield Taken((first[:, None] + 1 + at)[scored], tokens[: len(first), 1:][scored], *found)


def totals(learn: Learner, params: Tree, rest: Tree, text: Corpus, context: int) -> Sums:
    """The loss in nats and the hits, over all scored tokens."""
    loss = hits = tokens = 0.0
    for part in read(learn, params, rest, text, context):
        loss += float(part.loss.sum(dtype=np.float64))
        hits += float((part.guess == part.token).sum())
        tokens += len(part.token)
    return Sums(*map(np.float64, (loss, tokens, hits, tokens)))  # type: ignore[arg-type]
