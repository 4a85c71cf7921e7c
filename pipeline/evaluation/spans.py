"""Spans that tags in IOB2 mark (Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040): B-X begins one, I-X goes on with it."""

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    kind: str
    start: int
    end: int  # the place after its last word


def are_iob2(labels: Sequence[str]) -> bool:
    """Whether these tags mark spans: all are O, B-X or I-X, and some begin one."""
    return any(tag.startswith("B-") for tag in labels) and all(tag == "O" or tag[:2] in ("B-", "I-") for tag in labels)


def spans(tags: Sequence[str]) -> set[Span]:
    """The spans of a sentence. As in conlleval and seqeval, an I-X that follows no X begins a span of its own."""
    found: set[Span] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        inside = tag.startswith("I-") and tag[2:] == kind
        if not inside:
            if kind:
                found.add(Span(kind, start, place))
            kind, start = tag[2:], place  # "" for O
    return found


def scores(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over all spans: right is one of the same kind, start and end."""
    right = given = wanted = 0
    for sentence, guess in zip(actual, predicted):
        there, found = spans(sentence), spans(guess)
        right, given, wanted = right + len(there & found), given + len(found), wanted + len(there)
    precision, recall = right / max(given, 1), right / max(wanted, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * right / max(given + wanted, 1), "spans": float(wanted)}
