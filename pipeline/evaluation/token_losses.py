"""The loss of each token of a held-out text: each document's tokens are predicted once, by the rule of `windows`.

Axes: n windows, or tokens, t tokens of a window.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.batch import LossSums
from pipeline.loaders.token_store import TokenStore
from pipeline.parallel import sharding
from pipeline.runtime.windows import windows

TOKENS = 8_192  # read at a time, on each device


class TokenLosses(NamedTuple):
    """Tokens by their place in the split, and the TokenScores of each."""

    place: Int[np.ndarray, " n"]
    token: Integer[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]  # in nats
    guess: Int[np.ndarray, " n"]  # the most probable token
    confidence: Float[np.ndarray, " n"]  # its probability


def token_losses(
    predictor: Predictor, params: Tree, model_state: Tree, text: TokenStore, context: int
) -> Iterator[TokenLosses]:
    """The scored tokens of all documents, in order, a batch of windows at a time."""
    plan = windows(text.starts.tolist(), context)
    size = max(1, TOKENS // context) * sharding.batch_shards(predictor.mesh)
    offset = np.arange(context)[None]  # 1 t
    for start in range(0, len(plan.first), size):
        first, skip, end = (x[start : start + size] for x in plan)
        tokens = text.windows(np.pad(first, (0, size - len(first)), constant_values=-1), context + 1)
        scored = (offset >= skip[:, None]) & (offset < end[:, None])  # n t
        scores = predictor.token_scores(params, model_state, tokens)
        columns = (np.asarray(column)[: len(first)][scored] for column in scores)
        yield TokenLosses((first[:, None] + 1 + offset)[scored], tokens[: len(first), 1:][scored], *columns)


def total_loss(predictor: Predictor, params: Tree, model_state: Tree, text: TokenStore, context: int) -> LossSums:
    """The loss in nats and the hits, over all scored tokens."""
    loss = correct = tokens = 0.0
    for part in token_losses(predictor, params, model_state, text, context):
        loss += float(part.loss.sum(dtype=np.float64))
        correct += float((part.guess == part.token).sum())
        tokens += len(part.token)
    return LossSums(*map(np.float64, (loss, tokens, correct, tokens)))  # type: ignore[arg-type]
