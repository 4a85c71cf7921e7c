"""Explanations of images: a picture of each. Gradients come from the package's function `explain.jaxexp`, which needs
jax, flatbuffers and safetensors; where they are missing, squares of the image are covered, by any engine.
"""

from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from ..encoders import specs
from ..errors import UserError
from ..inputs import Arrays
from ..predictor import Predictor
from . import METHODS, drawing, methods, scores
from .explainer import Given, gradient, has_gradient, writing

BASELINES = "baselines.npy"


class Explanation:
    def __init__(self, facts: list[dict[str, Any]]) -> None:
        self.facts = facts

    def show(self) -> None:
        for path in dict.fromkeys(one["picture"] for one in self.facts):
            print(f"  explained in {path}")


class Images:
    """Raises UserError where the method needs what the package, or this machine, lacks."""

    def __init__(self, predictor: Predictor, package: Path, method: str | None = None, of: int | None = None) -> None:
        self._predictor, self._package, self._of = predictor, package, of
        self._spec = specs.read(specs.ImageSpec, predictor.config["preprocessing"], f"{package / 'config.json'}")
        if method is None:
            method = METHODS[0] if has_gradient(package) else "occlusion"
        self.method = method
        if method != "occlusion":
            self._gradient  # noqa: B018 - what is wrong with it is said at once

    def picture(self, content: bytes, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> tuple[bytes, list[Any]]:
        """A PNG file, and what it shows, for each answer."""
        (image,), task = arrays, self._predictor.task
        targets = scores.explained(task, outputs, self._of)
        maps, errors = self.maps(np.repeat(image[None], len(targets), axis=0), targets)
        titles = [scores.title(task, outputs, target) for target in targets]
        picture = drawing.explained(content, self._spec, list(maps), titles)
        facts = [{"of": task.labels[target], "method": self.method, **error} for target, error in zip(targets, errors)]
        return picture, facts

    def maps(self, images: UInt8[np.ndarray, "n h w c"], targets: list[int]) -> tuple[methods.Maps, list[Any]]:
        """How much each pixel adds to the target's score, and what else is known of each map."""
        outputs, nothing = np.array(targets, np.int32), [dict[str, float]() for _ in targets]
        if self.method == "occlusion":
            return methods.occlusion(self._scores, images, outputs, self._baselines), nothing
        if self.method == "cam":
            return methods.cam(self._gradient, images, outputs), nothing
        if self.method == "smoothgrad":
            return methods.smoothgrad(self._gradient, images, outputs, self._baselines), nothing
        maps, _, errors = methods.integrated(self._gradient, images, outputs, self._baselines)
        return maps, [{"completeness_error": round(float(error), 6)} for error in errors]

    def warm_up(self) -> None:
        """Compiles what the method runs."""
        self.maps(np.zeros_like(self._baselines[:1]), [0])

    def _scores(self, images: UInt8[np.ndarray, "b h w c"]) -> Float[np.ndarray, "b k"]:
        task, rows = self._predictor.task, self._predictor.outputs([(image,) for image in images])
        return scores.scores(task, np.stack(rows))

    @cached_property
    def _baselines(self) -> UInt8[np.ndarray, "s h w c"]:
        """The package's typical images, or where it has none, one in grey."""
        path, shape = self._package / BASELINES, (self._spec.height, self._spec.width, self._spec.channels)
        if not path.is_file():
            return np.full((1, *shape), 128, np.uint8)
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); copy the package again") from error
        if found.dtype != np.uint8 or found.shape[1:] != shape:
            raise UserError(f"{path}: does not fit the package's images; copy the package again")
        return found

    @cached_property
    def _gradient(self) -> methods.Gradient:
        return methods.padded(gradient(self._package, self.method))


class Pictures:
    """Each explanation as a file in a folder."""

    def __init__(self, images: Images, folder: Path) -> None:
        self._images, self._folder = images, folder
        self._written: set[Path] = set()

    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> Explanation:
        content, facts = self._images.picture(given.content, arrays, outputs)
        path = self._path(given.name)
        with writing(path):
            path.write_bytes(content)
        return Explanation([one | {"picture": str(path)} for one in facts])

    def _path(self, name: str) -> Path:
        """The picture of an input: its file's name, and a number where two have the same."""
        stem, number = PurePath(name).stem.encode(errors="replace").decode()[:100], 2
        path = self._folder / f"{stem}.explained.png"
        while path in self._written:
            path, number = self._folder / f"{stem}-{number}.explained.png", number + 1
        self._written.add(path)
        return path


def load(predictor: Predictor, package: Path, folder: Path, of: int | None, method: str | None) -> Pictures:
    return Pictures(Images(predictor, package, method, of), folder)
