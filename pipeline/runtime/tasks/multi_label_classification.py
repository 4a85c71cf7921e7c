"""Any number of labels for each input: those whose probability reaches the label's threshold."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from . import Answer, read_labels


class MultiLabelClassification:
    ranks, exclusive, marks_spans = True, False, False
    title, columns = "labels and their probabilities  input", ("labels", "probabilities")

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float]) -> None:
        self.labels, self._thresholds = list(labels), np.asarray(thresholds)

    def answer(self, outputs: Float[np.ndarray, " k"]) -> Answer:
        chosen = np.flatnonzero(outputs >= self._thresholds)
        return {
            "labels": [self.labels[i] for i in chosen.tolist()],
            "probabilities": {label: float(p) for label, p in zip(self.labels, outputs)},
        }

    def line(self, name: str, content: Any, answer: Answer) -> str:
        found = [f"{label} {answer['probabilities'][label]:.4f}" for label in answer["labels"]]
        return f"{', '.join(found) or '(none)'}  {name}"

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        r"""Several labels stand in one cell, with | between them: one that is part of a label is written as \|."""
        probabilities = [f"{answer['probabilities'][label]:.6f}" for label in answer["labels"]]
        labels = (label.replace("\\", r"\\").replace("|", r"\|") for label in answer["labels"])
        yield "|".join(labels), "|".join(probabilities)

    def deviations(self, outputs: list[Float[np.ndarray, " k"]], table: Mapping[str, Any]) -> Float[np.ndarray, "n k"]:
        expected = np.stack([table[f"probability of {label}"] for label in self.labels], axis=1)
        return np.abs(np.stack(outputs) - expected)


def load(folder: Path, outputs: int) -> MultiLabelClassification:
    labels, path = read_labels(folder, outputs), folder / "labels.json"
    thresholds = strict_json.read(path).get("thresholds")
    if not isinstance(thresholds, list) or [type(threshold) for threshold in thresholds] != [float] * outputs:
        raise UserError(f"{path}: thresholds must be {outputs} numbers, one for each label")
    return MultiLabelClassification(labels, thresholds)
