"""What a kind of input must say so that its examples are explained, shown, and their explanations tested.

Axes: n variants of an example, p parts of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8


class Attribution(NamedTuple):
    """What each part of one example adds to the evidence for one output."""

    weights: Float[np.ndarray, " p"]
    starts: Int[np.ndarray, " _"] | None = None  # of the parts among its tokens, and the last one's end; None: pixels
    total: float | None = None  # what the weights should add up to, where the method promises that
    gap: float | None = None  # how far they are off


class Picture(NamedTuple):
    """An image as the model saw it, and enlarged under what counts in it."""

    seen: UInt8[np.ndarray, "h w c"]
    over: UInt8[np.ndarray, "p q 3"]


@dataclass(frozen=True)
class Explained:
    """One example: where it was read, and a picture or a text in which colours show what counted."""

    source: str
    fragment: str
    picture: Picture | None = None

    def html(self) -> str:
        """A self-contained piece of HTML: a `figure` with an `img` that has a data URI and alternative text, or with
        coloured `span`s and a label that says in words what counts most. It has no headings: whoever shows it adds
        prediction, truth and source. Red is for the output, blue against it, on light and on dark pages.
        """
        return self.fragment


@runtime_checkable
class Explainable(Protocol):
    """The examples of a split, by the rows of evaluation/SPLIT.parquet."""

    rows: int  # how many there are
    method: str  # how they are explained
    legend: str  # how to read what is shown
    tested: int  # how many examples are enough to test explanations by, for what each costs
    steps: int  # of the curves that test them

    def likeliest(self, rows: Sequence[int]) -> list[int]:
        """For each row, the output that the network gives most evidence for."""
        ...

    def attribute(self, rows: Sequence[int], outputs: Sequence[int]) -> list[Attribution]: ...

    def answers(
        self, row: int, output: int, parts: Attribution, kept: Bool[np.ndarray, "n p"]
    ) -> Float[np.ndarray, " n"]:
        """What a package would say of the output if it saw only the parts that are kept: a probability or a value."""
        ...

    def show(self, rows: Sequence[int], found: Sequence[Attribution]) -> list[Explained]: ...
