"""Numbers for each input, in their own units."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from . import Answer, read_labels


class Regression:
    ranks, exclusive, marks_spans = False, False, False

    def __init__(self, names: Sequence[str], units: Mapping[str, str]) -> None:
        self.labels, self._units = names, units
        self._titles = [f"{name} ({units[name]})" if name in units else name for name in names]
        self.columns = tuple(self._titles)
        self.title = "  ".join([*(f"{title:>12}" for title in self._titles), "input"])

    def answer(self, outputs: Float[np.ndarray, " k"]) -> Answer:
        units = {"units": dict(self._units)} if self._units else {}
        return {"values": {name: float(value) for name, value in zip(self.labels, outputs)}, **units}

    def line(self, name: str, content: Any, answer: Answer) -> str:
        widths = (max(12, len(title)) for title in self._titles)
        values = [f"{value:{width}.6g}" for value, width in zip(answer["values"].values(), widths)]
        return "  ".join([*values, name])

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        yield [f"{value:.6g}" for value in answer["values"].values()]

    def deviations(self, outputs: list[Float[np.ndarray, " k"]], table: Mapping[str, Any]) -> Float[np.ndarray, "n k"]:
        """As shares of each target's spread."""
        expected = np.stack([np.asarray(table[f"predicted {name}"]) for name in self.labels], axis=1)
        return np.abs(np.stack(outputs) - expected) / np.maximum(expected.std(axis=0), np.abs(expected).max(axis=0))


def load(folder: Path, outputs: int) -> Regression:
    names, path = read_labels(folder, outputs), folder / "labels.json"
    units = strict_json.read(path).get("units", {})
    if not isinstance(units, dict) or not all(isinstance(unit, str) for unit in units.values()):
        raise UserError(f"{path}: units must be an object of texts, not {units!r}")
    return Regression(names, units)
