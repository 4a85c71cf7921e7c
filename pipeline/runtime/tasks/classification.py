"""One label for each input: the likeliest."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from . import Answer, read_labels


class Classification:
    ranks, exclusive, marks_spans = True, True, False
    columns = ("label", "probability")

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self._width = max(len(label) for label in [*labels, "label"])
        self.title = f"probability  {'label':{self._width}}  input"

    def answer(self, outputs: Float[np.ndarray, " k"]) -> Answer:
        best = int(outputs.argmax())
        probabilities = dict(zip(self.labels, outputs.tolist()))
        return {"label": self.labels[best], "probability": float(outputs[best]), "probabilities": probabilities}

    def line(self, name: str, content: Any, answer: Answer) -> str:
        return f"{answer['probability']:11.4f}  {answer['label']:{self._width}}  {name}"

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        yield answer["label"], f"{answer['probability']:.6f}"

    def deviations(self, outputs: list[Float[np.ndarray, " k"]], table: Mapping[str, Any]) -> Float[np.ndarray, "n k"]:
        expected = np.stack([table[f"probability of {label}"] for label in self.labels], axis=1)
        return np.abs(np.stack(outputs) - expected)


def load(folder: Path, outputs: int) -> Classification:
    return Classification(read_labels(folder, outputs))
