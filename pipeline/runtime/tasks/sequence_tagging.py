"""A tag for each word of a sentence: together the likeliest that keep to the scheme of tags that mark spans."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from ..tag_grammar import SCHEMES, Grammar, Scheme
from . import Answer, read_labels, read_least_sure


class SequenceTagging:
    ranks, exclusive, title = True, True, None

    def __init__(self, labels: Sequence[str], scheme: Scheme | None = None, least_sure: float | None = None) -> None:
        self.labels, self._grammar, self._least_sure = labels, Grammar.of(labels, scheme), least_sure
        self.columns = ("word", "label", "probability", *([] if least_sure is None else ["sure"]))
        self.marks_spans = scheme is not None

    def answer(self, outputs: Float[np.ndarray, "t k"]) -> Answer:
        best = self._grammar.decode(outputs)
        probabilities = outputs[np.arange(len(best)), best]
        answer = {
            "labels": [self.labels[i] for i in best],
            "probabilities": [round(float(p), 6) for p in probabilities],
        }
        return answer if self._least_sure is None else answer | {"sure": (probabilities >= self._least_sure).tolist()}

    def line(self, name: str, content: Any, answer: Answer) -> str:
        """word/tag for each word, which the slash-tagged reader can read."""
        return " ".join(f"{word}/{label}" for word, label in zip(content, answer["labels"]))

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        each = [content, answer["labels"], (f"{probability:.6f}" for probability in answer["probabilities"])]
        if "sure" in answer:
            each.append("yes" if sure else "no" for sure in answer["sure"])
        yield from zip(*each)

    def deviations(self, outputs: list[Float[np.ndarray, "t k"]], table: Mapping[str, Any]) -> Float[np.ndarray, " n"]:
        rows = np.concatenate(outputs)
        numbers = {label: i for i, label in enumerate(self.labels)}
        predicted = np.array([numbers[label] for label in table["prediction"]])
        return np.abs(rows[np.arange(len(rows)), predicted] - np.asarray(table["probability"]))


def load(folder: Path, outputs: int) -> SequenceTagging:
    labels, path = read_labels(folder, outputs), folder / "labels.json"
    scheme = strict_json.read(path).get("scheme")
    if scheme is not None and scheme not in SCHEMES:
        raise UserError(f"{path}: scheme must be null or one of {', '.join(SCHEMES)}, not {scheme!r}")
    return SequenceTagging(labels, scheme, read_least_sure(folder))
