"""One label for each input: the likeliest, and whether it is likely enough to be sure, where the package says so."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from . import Answer, read_labels, read_least_sure


class Classification:
    ranks, exclusive, marks_spans = True, True, False

    def __init__(self, labels: Sequence[str], least_sure: float | None = None) -> None:
        self.labels, self._least_sure = labels, least_sure
        self._width = max(len(label) for label in [*labels, "label"])
        says = least_sure is not None
        self.columns = ("label", "probability", *(["sure"] if says else []))
        self.title = f"probability  {'label':{self._width}}  {'sure      ' if says else ''}input"

    def answer(self, outputs: Float[np.ndarray, " k"]) -> Answer:
        best = int(outputs.argmax())
        probabilities = dict(zip(self.labels, outputs.tolist()))
        answer = {"label": self.labels[best], "probability": float(outputs[best]), "probabilities": probabilities}
        return answer if self._least_sure is None else answer | {"sure": bool(outputs[best] >= self._least_sure)}

    def line(self, name: str, content: Any, answer: Answer) -> str:
        sure = f"{'yes' if answer['sure'] else 'not sure':8}  " if "sure" in answer else ""
        return f"{answer['probability']:11.4f}  {answer['label']:{self._width}}  {sure}{name}"

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        sure = ["yes" if answer["sure"] else "no"] if "sure" in answer else []
        yield answer["label"], f"{answer['probability']:.6f}", *sure

    def deviations(self, outputs: list[Float[np.ndarray, " k"]], table: Mapping[str, Any]) -> Float[np.ndarray, "n k"]:
        expected = np.stack([table[f"probability of {label}"] for label in self.labels], axis=1)
        return np.abs(np.stack(outputs) - expected)


def load(folder: Path, outputs: int) -> Classification:
    return Classification(read_labels(folder, outputs), read_least_sure(folder))
