"""What in an input spoke for an answer, by the package alone: of each kind of input as it needs."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from ..errors import UserError
from ..inputs import Arrays
from ..package import load_function, run
from ..predictor import Predictor

MOST = 5  # labels that an error lists
FUNCTION, REQUIREMENTS = "explain.jaxexp", "requirements-explain.txt"
NEEDS = ("jax", "flatbuffers", "safetensors")  # what runs that function
OF_WORDS = ("occlusion", "integrated")


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
        return _module("images").load(predictor, arguments.package, arguments.explain, of, arguments.method)
    if arguments.method is not None and arguments.method not in OF_WORDS:
        raise UserError(f"--method: for these inputs must be {' or '.join(OF_WORDS)}, not {arguments.method}")
    texts = _module("texts")
    slopes = texts.slopes(arguments.package) if arguments.method == "integrated" else None
    return texts.load(of_words(predictor, of, slopes), arguments.explain)


def of_words(predictor: Predictor, of: int | None = None, slopes: Any = None) -> Any:
    """What explains texts, or the tags of sentences, word by word: a texts.OfWords."""
    if predictor.inputs.from_words:
        return _module("sentences").Sentences(predictor, of, slopes)
    return _module("texts").Texts(predictor, of, slopes)


def _module(name: str) -> Any:
    """One of this folder that stands on this one: loaded where it is needed."""
    return import_module(f".{name}", __package__)


def gradient(package: Path, method: str) -> Callable[..., Any]:
    """The package's function of scores and their gradients. Raises UserError where it, or what it needs, is missing."""
    lacking = [name for name in NEEDS if find_spec(name) is None]
    if lacking:
        raise UserError(
            f"--method {method}: needs {lacking[0]}, which is not installed: pip install -r {package / REQUIREMENTS}, "
            "or take --method occlusion"
        )
    if not (package / FUNCTION).is_file():
        raise UserError(f"--method {method}: {package} has no {FUNCTION}, which it needs: take --method occlusion")
    import jax

    function, weights = load_function(package, FUNCTION)
    return run(package, jax.jit(lambda *inputs: function.call(weights, *inputs)))


def has_gradient(package: Path) -> bool:
    """Whether `gradient` can load it."""
    return (package / FUNCTION).is_file() and not any(find_spec(name) is None for name in NEEDS)


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
