"""A tag for each word of a sentence: together the likeliest that keep to the scheme of tags that mark spans."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from ..tag_grammar import SCHEMES, Grammar, Scheme
from . import Answer, read_labels


class SequenceTagging:
    ranks, exclusive, title, columns = True, True, None, ("word", "label", "probability")

    def __init__(self, labels: Sequence[str], scheme: Scheme | None = None) -> None:
        self.labels, self._grammar = labels, Grammar.of(labels, scheme)
        self.marks_spans = scheme is not None

    def answer(self, outputs: Float[np.ndarray, "t k"]) -> Answer:
        best = self._grammar.decode(outputs)
        return {
            "labels": [self.labels[i] for i in best],
            "probabilities": [round(float(p), 6) for p in outputs[np.arange(len(best)), best]],
        }

    def line(self, name: str, content: Any, answer: Answer) -> str:
        """word/tag for each word, which the slash-tagged reader can read."""
        return " ".join(f"{word}/{label}" for word, label in zip(content, answer["labels"]))

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        for word, label, probability in zip(content, answer["labels"], answer["probabilities"]):
            yield word, label, f"{probability:.6f}"

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
    return SequenceTagging(labels, scheme)
