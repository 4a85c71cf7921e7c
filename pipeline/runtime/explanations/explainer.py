"""What in an input spoke for an answer, by the package alone: of each kind of input as it needs."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from ..errors import UserError
from ..inputs import Arrays
from ..predictor import Predictor

MOST = 5  # labels that an error lists


class Given(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def content(self) -> Any: ...


class Explanation(Protocol):
    """Of one input's answers."""

    facts: list[dict[str, Any]]  # one for each answer, as JSON

    def show(self) -> None:
        """Prints it for people."""
        ...


class Explainer(Protocol):
    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> Explanation:
        """Writes the explanation of an input's answer into the folder."""
        ...


def load(predictor: Predictor, arguments: argparse.Namespace) -> Explainer:
    """What explains a package's answers. Raises UserError where it has none, or the folder cannot be written."""
    of = None if arguments.of is None else _output(arguments.of, predictor.task.labels)
    prepare(arguments)
    if predictor.inputs.from_files:
        from . import images

        return images.load(predictor, arguments.package, arguments.explain, of, arguments.method)
    if arguments.method is not None:
        raise UserError("--method: is for images; words are left out in turn: leave the option out")
    from . import texts

    return texts.load(of_words(predictor, of), arguments.explain)


def of_words(predictor: Predictor, of: int | None = None) -> Any:
    """What explains texts, or the tags of sentences, word by word: a texts.OfWords."""
    if predictor.inputs.from_words:
        from .sentences import Sentences

        return Sentences(predictor, of)
    from .texts import Texts

    return Texts(predictor, of)


def prepare(arguments: argparse.Namespace) -> None:
    """Makes the folder for explanations. Raises UserError."""
    if arguments.package.resolve() in (arguments.explain.resolve(), *arguments.explain.resolve().parents):
        raise UserError(
            f"--explain: {arguments.explain} lies in the package, which must stay as it is: name a folder elsewhere"
        )
    with writing(arguments.explain):
        arguments.explain.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system raises into a UserError that names `path`."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"--explain: {path}: {why}: name a folder that can be written") from error


def _output(label: str, labels: Any) -> int:
    if label not in labels:
        more = f" and {len(labels) - MOST:,} more" if len(labels) > MOST else ""
        raise UserError(f"--of: must be one of {', '.join(labels[:MOST])}{more}, not {label!r}")
    return list(labels).index(label)
