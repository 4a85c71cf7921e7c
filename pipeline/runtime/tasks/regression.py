"""Numbers for each input, in their own units, and the intervals around them that hold most true values."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from . import Answer, read_labels

Interval: TypeAlias = tuple[float, Sequence[float]]


class Regression:
    ranks, exclusive, marks_spans = False, False, False

    def __init__(self, names: Sequence[str], units: Mapping[str, str], interval: Interval | None = None) -> None:
        """`interval` is the share of true values that intervals hold, and how far each goes around its number."""
        self.labels, self._units, self._interval = names, units, interval
        self._titles = [f"{name} ({units[name]})" if name in units else name for name in names]
        bounds = ("low", "high") if interval else ()
        self.columns = tuple(
            column for title in self._titles for column in (title, *(f"{title} {bound}" for bound in bounds))
        )
        self._widths = [max(12, len(column)) for column in self.columns]
        self.title = "  ".join([*(f"{column:>12}" for column in self.columns), "input"])

    def answer(self, outputs: Float[np.ndarray, " k"]) -> Answer:
        values = {name: float(value) for name, value in zip(self.labels, outputs)}
        units = {"units": dict(self._units)} if self._units else {}
        if self._interval is None:
            return {"values": values, **units}
        coverage, reach = self._interval
        low, high = (
            {name: value + sign * width for (name, value), width in zip(values.items(), reach)} for sign in (-1, 1)
        )
        return {"values": values, **units, "low": low, "high": high, "coverage": coverage}

    def line(self, name: str, content: Any, answer: Answer) -> str:
        values = [f"{value:{width}.6g}" for value, width in zip(self._numbers(answer), self._widths)]
        return "  ".join([*values, name])

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        yield [f"{value:.6g}" for value in self._numbers(answer)]

    def _numbers(self, answer: Answer) -> Iterable[float]:
        """In the order of the columns."""
        parts = [answer[part] for part in ("values", "low", "high") if part in answer]
        return (part[name] for name in self.labels for part in parts)

    def deviations(self, outputs: list[Float[np.ndarray, " k"]], table: Mapping[str, Any]) -> Float[np.ndarray, "n k"]:
        """As shares of each target's spread."""
        expected = np.stack([np.asarray(table[f"predicted {name}"]) for name in self.labels], axis=1)
        return np.abs(np.stack(outputs) - expected) / np.maximum(expected.std(axis=0), np.abs(expected).max(axis=0))


def load(folder: Path, outputs: int) -> Regression:
    names, path = read_labels(folder, outputs), folder / "labels.json"
    units = strict_json.read(path).get("units", {})
    if not isinstance(units, dict) or not all(isinstance(unit, str) for unit in units.values()):
        raise UserError(f"{path}: units must be an object of texts, not {units!r}")
    interval = strict_json.read(path).get("interval")
    return Regression(names, units, None if interval is None else _interval(interval, path, outputs))


def _interval(content: Any, path: Path, outputs: int) -> Interval:
    match content:
        case {"coverage": float(coverage), "half_widths": list(widths)} if list(map(type, widths)) == [float] * outputs:
            return coverage, widths
    raise UserError(f"{path}: interval must have its coverage, and as many half_widths as the model has outputs")
