"""How many of the spans that tags mark are found, in all and by type."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.runtime.tag_grammar import spans

if TYPE_CHECKING:
    import pandas as pd


def scores(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over all spans: one is right where type, start and end are."""
    return _scores(*(sum(count.values()) for count in _counts(actual, predicted)))


def by_type(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> "pd.DataFrame":
    """As `scores`: a row for each type of span, in alphabetical order."""
    import pandas as pd  # only evaluation needs it, and it loads slowly

    counts = _counts(actual, predicted)
    _, predicted_spans, actual_spans = counts
    types = sorted(actual_spans | predicted_spans)
    rows = [{"type": kind, **_scores(*(count[kind] for count in counts))} for kind in types]
    columns = ["type", "precision", "recall", "f1", "spans"]
    return pd.DataFrame(rows, columns=columns).astype({"spans": int})


def _counts(
    actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many spans of each type are right, are predicted, and are there."""
    right, guessed, true = Counter[str](), Counter[str](), Counter[str]()
    for sentence, guess in zip(actual, predicted, strict=True):
        true_spans, guessed_spans = set(spans(sentence)), set(spans(guess))
        right.update(span.kind for span in true_spans & guessed_spans)
        guessed.update(span.kind for span in guessed_spans)
        true.update(span.kind for span in true_spans)
    return right, guessed, true


def _scores(right: int, guessed: int, true: int) -> dict[str, float]:
    return {
        "precision": right / max(guessed, 1),
        "recall": right / max(true, 1),
        "f1": 2 * right / max(guessed + true, 1),
        "spans": float(true),
    }
