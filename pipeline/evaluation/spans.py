"""Spans that tags in IOB2 mark (Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040): B-X begins one, I-X continues it."""

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
    complete: set[Span] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        inside = tag.startswith("I-") and tag[2:] == kind
        if not inside:
            if kind:
                complete.add(Span(kind, start, place))
            kind, start = tag[2:], place  # "" for O
    return complete


def scores(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over all spans: one is right where kind, start and end are."""
    correct = guessed = true = 0
    for sentence, guess in zip(actual, predicted):
        true_spans, guessed_spans = spans(sentence), spans(guess)
        correct += len(true_spans & guessed_spans)
        guessed, true = guessed + len(guessed_spans), true + len(true_spans)
    precision, recall = correct / max(guessed, 1), correct / max(true, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * correct / max(guessed + true, 1), "spans": float(true)}
