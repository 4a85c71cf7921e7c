"""Loads a package folder and answers raw inputs: no training code, no pickle, every byte checked before it is used.

Needs jax, numpy, pillow and safetensors. The folder's own README.md shows how to do without this file as well.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from pydantic import ValidationError

from pipeline import images, strict_json
from pipeline.errors import UserError
from pipeline.images import ImageSpec

FORMAT = 1
MANIFEST = "manifest.json"
BATCH = 256


class Package:
    """A model in use. Raises UserError for a folder that is no package, is damaged, or holds what it should not."""

    def __init__(self, folder: Path) -> None:
        verify(folder)
        self.config: dict[str, Any] = strict_json.read(folder / "config.json")
        self.labels: list[str] = strict_json.read(folder / "labels.json")["labels"]
        try:
            self.spec = ImageSpec.model_validate(strict_json.read(folder / "image.json"))
        except ValidationError as error:
            raise UserError(f"{folder / 'image.json'}: not an image spec of this version") from error
        self._call = _function(folder)

    def pixels(self, content: bytes, name: str) -> UInt8[np.ndarray, "h w c"]:
        """An image file as the model takes it. Raises UserError that names it as `name`."""
        return images.decode(content, self.spec, name)

    def probabilities(self, inputs: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n k"]:
        """The probability of each label, in batches of at most 256, of few sizes, since each new size compiles."""
        blocks = []
        for start in range(0, len(inputs), BATCH):
            some = np.asarray(inputs[start : start + BATCH])
            size = 1 if len(some) == 1 else BATCH
            padded = np.pad(some, [(0, size - len(some)), (0, 0), (0, 0), (0, 0)])
            blocks.append(np.asarray(self._call(padded))[: len(some)])
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.labels)), np.float32)


def _function(folder: Path) -> Any:
    import jax
    from jax import export
    from safetensors.numpy import load_file

    try:
        exported = export.deserialize(bytearray((folder / "model.jaxexp").read_bytes()))
        weights = load_file(folder / "model.safetensors")
    except Exception as error:  # a damaged artifact raises whatever its parser stumbles over
        raise UserError(f"{folder}: the model cannot be loaded ({type(error).__name__}: {error})") from error
    # Closed over, the weights are constants to the compiler: nearly four times faster for a convolution on a CPU.
    return jax.jit(lambda images: exported.call(weights, images))


def seal(folder: Path) -> None:
    """Writes the manifest: the size and sha256 of every other file."""
    files = {name: _facts(folder / name) for name in _files(folder)}
    strict_json.write(folder / MANIFEST, {"format": FORMAT, "files": files})


def verify(folder: Path) -> None:
    """Raises UserError where a file of the package is missing, changed, or not in the manifest."""
    if not (folder / MANIFEST).is_file():
        what = "no such folder" if not folder.exists() else f"not a package: it has no {MANIFEST}"
        raise UserError(f"{folder}: {what}; `dvc repro` makes one at `package`")
    manifest = strict_json.read(folder / MANIFEST)
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or not isinstance(manifest.get("files"), dict)
    ):
        raise UserError(f"{folder / MANIFEST}: not a manifest of format {FORMAT}")
    listed, there = manifest["files"].keys(), set(_files(folder))
    for name in sorted(listed | there):
        if name not in there:
            raise UserError(f"{folder}: {name} is missing; copy the package anew")
        if name not in listed:
            raise UserError(f"{folder}: {name} is not in {MANIFEST}; remove it, or copy the package anew")
        if _facts(folder / name) != manifest["files"][name]:
            raise UserError(f"{folder}: {name} is damaged: its sha256 is not that of {MANIFEST}; copy the package anew")


def _files(folder: Path) -> Sequence[str]:
    found: Iterable[Path] = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != MANIFEST)


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
