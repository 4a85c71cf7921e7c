"""Small charts as numbers for an SVG picture: a template draws them, in the page's own colours.

All stand in a box of WIDTH x HEIGHT with room for the ticks; y grows downwards, as in SVG.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 20, 14, 40
BINS = 20
POINTS = 600  # of a scatter plot


class Tick(NamedTuple):
    place: float
    text: str


class Line(NamedTuple):
    name: str
    points: list[tuple[float, float]]
    has_dots: bool = False


class Chart(NamedTuple):
    title: str  # what the picture shows, for those who cannot see it
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    dots: list[tuple[float, float, float]] = []  # noqa: RUF012 - x, y, radius: never changed
    diagonal: list[tuple[float, float]] = []  # noqa: RUF012


class Scale(NamedTuple):
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float | int) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int, *, integer: bool = False) -> list[Tick]:
        steps = [1, 2, 5, 10] if integer else [1, 2, 2.5, 5, 10]
        found = MaxNLocator(most, integer=integer, steps=steps).tick_values(self.low, self.high)
        reach = 1e-9 * (abs(self.high) + abs(self.low))
        return [Tick(self(v), f"{v + 0.0:,.6g}") for v in found if self.low - reach <= v <= self.high + reach]


def lines(title: str, x: Sequence[int], series: dict[str, list[float]], *, x_label: str, y_label: str) -> Chart:
    """A line for each of `series` over the whole numbers `x`."""
    across = _across(float(min(x)), float(max(x)))
    values = [value for one in series.values() for value in one]
    up = _up(min(values), max(values), margin=0.06)
    drawn = [Line(name, [(across(a), up(b)) for a, b in zip(x, one)], has_dots=True) for name, one in series.items()]
    return Chart(title, x_label, y_label, across.ticks(6, integer=True), up.ticks(5), drawn)


def reliability(title: str, confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]) -> Chart:
    """Accuracy by confidence; the larger a dot, the more examples. On the diagonal both are equal."""
    across, up = _across(0.0, 1.0), _up(0.0, 1.0)
    most = max(counts)
    dots = [
        (across(a), up(b), round(2.5 + 9 * float(np.sqrt(n / most)), 1))
        for a, b, n in zip(confidence, accuracy, counts)
    ]
    diagonal = [(across(v), up(v)) for v in (0.0, 1.0)]
    ticks = across.ticks(5), up.ticks(5)
    return Chart(title, "how sure the model is", "how often it is right", *ticks, [], dots, diagonal)


def scatter(title: str, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], *, x_label: str, y_label: str) -> Chart:
    """Points, a part of them where there are many; on the diagonal both are equal."""
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    across, up = _across(low, high), _up(low, high)
    shown = np.linspace(0, len(x) - 1, min(POINTS, len(x))).astype(int)
    dots = [(across(a), up(b), 2.0) for a, b in zip(x[shown].tolist(), y[shown].tolist())]
    return Chart(
        title, x_label, y_label, across.ticks(5), up.ticks(5), [], dots, [(across(v), up(v)) for v in (low, high)]
    )


def histogram(title: str, values: dict[str, Float[np.ndarray, " _"]], *, x_label: str) -> Chart:
    """The shares of values in equal ranges, a stepped line for each; the largest hundredth is cut off."""
    whole = np.concatenate(list(values.values()))
    low, high = float(whole.min()), float(np.quantile(whole, 0.99, method="higher"))
    high = high if high > low else low + 1
    is_whole = bool((whole == whole.round()).all()) and high - low < BINS
    edges = np.arange(low, high + 2) - 0.5 if is_whole else np.linspace(low, high, BINS + 1)
    across = _across(float(edges[0]), float(edges[-1]))
    shares = {name: np.histogram(one, edges)[0] / max(len(one), 1) for name, one in values.items()}
    up = _up(0.0, max(float(one.max()) for one in shares.values()) or 1.0)
    drawn = []
    for name, one in shares.items():
        corners = [(across(edges[0]), up(0.0))]
        for share, left, right in zip(one, edges, edges[1:]):
            corners += [(across(left), up(share)), (across(right), up(share))]
        drawn.append(Line(name, [*corners, (across(edges[-1]), up(0.0))]))
    ticks = [Tick(place, f"{100 * float(text.replace(',', '')):.4g} %") for place, text in up.ticks(4)]
    return Chart(title, x_label, "share", across.ticks(5, integer=is_whole), ticks, drawn)


def _across(low: float, high: float) -> Scale:
    return Scale(low, high, float(LEFT), float(WIDTH - RIGHT))


def _up(low: float, high: float, margin: float = 0.0) -> Scale:
    room = margin * ((high - low) or abs(high) or 1.0)
    return Scale(low - room, high + room, float(HEIGHT - BOTTOM), float(TOP))
