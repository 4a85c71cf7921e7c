"""Explanations of images: a picture of each, by the package's function `explain.jaxexp`. Needs jax, flatbuffers and
safetensors.
"""

from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import UserError
from ..inputs import Arrays
from ..package import load_function, run
from ..predictor import Predictor
from . import drawing, scores
from .explainer import Given, writing

FUNCTION, REQUIREMENTS = "explain.jaxexp", "requirements-explain.txt"


class Explanation:
    def __init__(self, facts: list[dict[str, Any]]) -> None:
        self.facts = facts

    def show(self) -> None:
        for path in dict.fromkeys(one["picture"] for one in self.facts):
            print(f"  explained in {path}")


class Images:
    def __init__(self, predictor: Predictor, call: Any, folder: Path, of: int | None) -> None:
        self._task, self._call, self._folder, self._of = predictor.task, call, folder, of
        self._written: set[Path] = set()

    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> Explanation:
        content, facts = self.picture(arrays, outputs)
        path = self._path(given.name)
        with writing(path):
            path.write_bytes(content)
        return Explanation([one | {"picture": str(path)} for one in facts])

    def picture(self, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> tuple[bytes, list[dict[str, Any]]]:
        """A PNG file, and what it shows."""
        (image,), targets = arrays, scores.explained(self._task, outputs, self._of)
        found = [self._call(image[None], np.array([target], np.int32)) for target in targets]
        pixels = np.concatenate([np.asarray(one) for one, _ in found])
        errors = [round(float(np.asarray(error)[0]), 6) for _, error in found]
        content = drawing.explained(image, pixels, [scores.title(self._task, outputs, target) for target in targets])
        labels = [self._task.labels[target] for target in targets]
        return content, [{"of": label, "completeness_error": error} for label, error in zip(labels, errors)]

    def _path(self, name: str) -> Path:
        """The picture of an input: its file's name, and a number where two have the same."""
        stem, number = PurePath(name).stem.encode(errors="replace").decode()[:100], 2
        path = self._folder / f"{stem}.explained.png"
        while path in self._written:
            path, number = self._folder / f"{stem}-{number}.explained.png", number + 1
        self._written.add(path)
        return path


def load(predictor: Predictor, package: Path, folder: Path, of: int | None = None) -> Images:
    if not (package / FUNCTION).is_file():
        raise UserError(f"--explain: {package} has no {FUNCTION}: make the package again with `dvc repro`")
    try:
        import jax

        function, weights = load_function(package, FUNCTION)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--explain: needs {error.name}, which is not installed: pip install -r {package / REQUIREMENTS}"
        ) from error
    call = jax.jit(lambda images, outputs: function.call(weights, images, outputs))
    return Images(predictor, run(package, call), folder, of)
