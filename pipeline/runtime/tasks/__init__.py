"""What a model's outputs mean, and how an answer is printed: one module for each task, loaded only where it is needed.

A task "multi-label-classification" is the module multi_label_classification, whose `load` reads what the package says
of the outputs. A module without `load` is of a model that generates text.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError

Answer: TypeAlias = dict[str, Any]  # as JSON


class Answers(Protocol):
    """How the outputs for one input, a row or a row for each token, become an answer."""

    ranks: bool  # whether the outputs are the labels' probabilities
    exclusive: bool  # whether an example, or a token, has one label
    marks_spans: bool  # whether the labels are tags that mark spans

    @property
    def labels(self) -> Sequence[str]:
        """The names of the outputs."""
        ...

    @property
    def title(self) -> str | None:
        """The first line of a table, if it needs one."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """Of CSV, after the input's name."""
        ...

    def answer(self, outputs: Float[np.ndarray, "*t k"]) -> Answer: ...

    def line(self, name: str, content: Any, answer: Answer) -> str:
        """The answer in a table for people, with the input's name or its `content`."""
        ...

    def rows(self, content: Any, answer: Answer) -> Iterable[Sequence[Any]]:
        """The answer in CSV: a row for each input, or for each of its tokens."""
        ...

    def deviations(
        self, outputs: list[Float[np.ndarray, "*t k"]], table: Mapping[str, Any]
    ) -> Float[np.ndarray, "..."]:
        """How far these outputs are from those that evaluate wrote to its table, for the self-test."""
        ...


def known(name: Any) -> bool:
    return (
        isinstance(name, str)
        and name.replace("-", "").isalpha()
        and find_spec(f".{_module(name)}", __name__) is not None
    )


def generates(name: str) -> bool:
    """Whether a package of this task generates text."""
    return not hasattr(_import(name), "load")


def load(name: str, folder: Path, outputs: int) -> Answers:
    """The meaning of the `outputs` of a package's model. Raises UserError where its files do not fit them."""
    return _import(name).load(folder, outputs)


def read_labels(folder: Path, outputs: int) -> list[str]:
    """The names in labels.json, one for each output. Raises UserError."""
    path = folder / "labels.json"
    content = strict_json.read(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list) or [type(label) for label in labels] != [str] * outputs:
        raise UserError(f"{path}: labels must be {outputs} names, as many as the model has outputs")
    return labels


def read_least_sure(folder: Path) -> float | None:
    """The probability from which on answers are sure, in labels.json: infinite where none is. None where answers do not
    say whether they are. Raises UserError.
    """
    path = folder / "labels.json"
    content = strict_json.read(path).get("sure")
    if content is None:
        return None
    threshold = content.get("threshold", "") if isinstance(content, dict) else ""
    if threshold is not None and type(threshold) not in (float, int):
        raise UserError(f"{path}: sure must have a threshold, a number or null")
    return math.inf if threshold is None else float(threshold)


def _module(name: str) -> str:
    return name.replace("-", "_")


def _import(name: str) -> ModuleType:
    return import_module(f".{_module(name)}", __name__)
