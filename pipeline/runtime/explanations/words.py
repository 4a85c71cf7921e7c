"""Words, and what an answer loses without each (Li, Monroe, Jurafsky 2016, arXiv:1612.08220).

A word may be several tokens, and is left out whole. Axes: m borders of parts, n texts, k outputs.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Integer

EVALUATIONS = 128  # of the model for each text
POINTS, ROWS, LEAST = 64, 16, 16  # of an integral; texts of a call, and their tokens, at least
CONTEXT = 128  # tokens that a language model reads to explain the next one: one shape, since each is compiled
GROUPS = 64  # parts of a text of more words than that; those that count most are then taken apart
# Scripts without spaces between words, besides the wide ones: Thai, Lao, Tibetan, Burmese, Khmer.
UNSPACED = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF))
JOINS = frozenset("'\N{RIGHT SINGLE QUOTATION MARK}-_")  # within a word

Tokens: TypeAlias = Integer[np.ndarray, " _"]
Scores: TypeAlias = Callable[[list[Tokens]], Float[np.ndarray, "n k"]]
# Of ROWS texts, of each the number of an output, a scale, and, where each token has outputs, the place of one.
Slopes: TypeAlias = Callable[..., "TokenSlopes"]


class Parts(NamedTuple):
    """Part i of a text is `tokens[starts[i] : starts[i + 1]]`: by how much each output's score falls without it."""

    starts: Int[np.ndarray, " m"]
    drops: Float[np.ndarray, "m-1 k"]


def borders(pieces: Sequence[str]) -> Int[np.ndarray, " m"]:
    """Where the words of a text begin among its tokens, and where the last one ends. `pieces` is the text in the parts
    that its tokens are. Blanks belong to the word before them, or to the first.
    """
    starts = [0] if pieces else []
    for i in range(1, len(pieces)):
        if pieces[i].strip() and "".join(pieces[starts[-1] : i]).strip() and not _continues(pieces[i - 1], pieces[i]):
            starts.append(i)
    return np.array([*starts, len(pieces)], np.int64) if pieces else np.zeros(1, np.int64)


def few_parts(count: int) -> list[int]:
    """The borders of at most EVALUATIONS parts, all of as many words, of a sentence of `count` words."""
    step = max(1, -(-count // EVALUATIONS))
    return [*range(0, count, step), count]


def leave_one_out(tokens: Tokens, words: Int[np.ndarray, " m"], outputs: Sequence[int], scores: Scores) -> Parts:
    """What each part of a text adds to the scores of `outputs`, in their order. `scores` are those of texts, which may
    be empty. A part is a word; of a text of more than EVALUATIONS words, several together, but for those that count
    most.
    """
    if len(words) < 2:
        return Parts(words, np.zeros((0, len(outputs))))
    columns = list(outputs)
    own = scores([tokens])[0, columns]  # k

    def drops(starts: Sequence[int], ends: Sequence[int]) -> Float[np.ndarray, "n k"]:
        return own[None] - scores([np.delete(tokens, slice(a, b)) for a, b in zip(starts, ends)])[:, columns]

    count = len(words) - 1
    if count <= EVALUATIONS:
        return Parts(words, drops(words[:-1].tolist(), words[1:].tolist()))
    groups = words[np.linspace(0, count, GROUPS + 1).astype(int)]
    coarse = drops(groups[:-1].tolist(), groups[1:].tolist())
    found = {int(start): (int(end), drop) for start, end, drop in zip(groups, groups[1:], coarse)}
    room, fine = EVALUATIONS - GROUPS, []
    for i in np.argsort(-np.abs(coarse).max(1), kind="stable").tolist():
        inside = words[(words >= groups[i]) & (words <= groups[i + 1])].tolist()
        if len(inside) > 2 and len(inside) - 1 <= room:
            fine += zip(inside, inside[1:])
            room -= len(inside) - 1
    if fine:
        starts, ends = zip(*fine)
        found |= {start: (end, drop) for start, end, drop in zip(starts, ends, drops(starts, ends))}
    order = sorted(found)
    return Parts(np.array([*order, words[-1]]), np.stack([found[start][1] for start in order]))


class TokenSlopes(NamedTuple):
    """Of one output's score for each of several texts, whose tokens' vectors are multiplied by a scale."""

    scores: Float[np.ndarray, " b"]
    tokens: Float[np.ndarray, "b t"]  # the derivative for each token's scale


class Integrated(NamedTuple):
    """Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365) from vectors of zeros."""

    weights: Float[np.ndarray, " p"]  # of each word: the sum over its tokens
    total: float  # what they should add up to
    gap: float  # how far they are off


def integrated(
    inputs: Sequence[Integer[np.ndarray, "t ..."]],
    words: Int[np.ndarray, " m"],
    output: int,
    slopes: Slopes,
    place: int | None = None,
) -> Integrated:
    """Of a text, as the arrays that the model takes. By the midpoint rule over POINTS scales, in texts padded to few
    lengths, as each is compiled.
    """
    if len(words) < 2:
        return Integrated(np.zeros(0), 0.0, 0.0)
    size = len(inputs[0])
    length = max(LEAST, 1 << (size - 1).bit_length())
    rows = [np.zeros((ROWS, length, *array.shape[1:]), np.int32) for array in inputs]
    for padded, array in zip(rows, inputs):
        padded[:, :size] = array
    of, total = np.full(ROWS, output, np.int32), np.zeros(size)
    at = [] if place is None else [np.full(ROWS, place, np.int32)]
    scales = ((np.arange(POINTS) + 0.5) / POINTS).astype(np.float32)
    for start in range(0, POINTS, ROWS):
        found = slopes(*rows, of, scales[start : start + ROWS], *at)
        total += np.asarray(found.tokens, np.float64)[:, :size].sum(0) / POINTS
    ends = slopes(*rows, of, np.linspace(1, 0, ROWS).astype(np.float32), *at).scores
    wanted = float(ends[0]) - float(ends[-1])
    return Integrated(np.add.reduceat(total, words[:-1]), wanted, abs(float(total.sum()) - wanted))


def _continues(before: str, piece: str) -> bool:
    """Whether a token goes on with the word of the token before it."""
    left, right = before[-1:], piece[:1]
    if not left:  # a character of several tokens belongs to the last of them
        return True
    if not right:
        return True
    if left in JOINS or right in JOINS:
        return not (left.isspace() or right.isspace())
    return all((c.isalnum() or unicodedata.combining(c)) and not _is_unspaced(c) for c in (left, right))


def _is_unspaced(character: str) -> bool:
    """Whether its script has no spaces between words."""
    code = ord(character)
    wide = unicodedata.east_asian_width(character) in "WF" and not 0xAC00 <= code <= 0xD7AF  # Korean has spaces
    return wide or any(first <= code <= last for first, last in UNSPACED)
