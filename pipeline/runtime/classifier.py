"""Loads a package folder and answers raw inputs: no training code, no pickle, every byte checked before it is used.

Needs jax, numpy, safetensors, and pillow for images, tokenizers for texts, tiktoken too for a language model. The
folder's own README.md shows how to do without this file as well.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Shaped
from pydantic import ValidationError

from pipeline.runtime import strict_json
from pipeline.runtime.encoders import images, text_tokenizer, word_vocabulary
from pipeline.runtime.encoders.images import ImageSpec
from pipeline.runtime.encoders.text_tokenizer import TextSpec
from pipeline.runtime.encoders.word_vocabulary import WordSpec
from pipeline.runtime.errors import UserError

FORMAT = 2
MANIFEST = "manifest.json"
BATCH = {"image-classification": 256, "text-classification": 64, "sequence-tagging": 64}
LANGUAGE = "language-modelling"
SHORTEST = 16  # tokens that a batch of texts is filled up to, at least
MAX_CHARACTERS = 1_000_000  # of a text: about a second's work for a tokenizer

Arrays: TypeAlias = tuple[Shaped[np.ndarray, "..."], ...]  # one example, as the model takes it


class Classifier:
    """A model in use. Raises UserError for a folder that is no package, is damaged, or holds what it should not."""

    def __init__(self, folder: Path) -> None:
        self.config = opened(folder)
        self.task: str = self.config["task"]
        if self.task not in BATCH:
            raise UserError(f"{folder}: is of a language model: it labels nothing")
        try:
            match self.task:
                case "image-classification":
                    self._image = ImageSpec.model_validate(self.config["preprocessing"])
                case "text-classification":
                    self._text = TextSpec.model_validate(self.config["preprocessing"])
                    self._tokenizer = text_tokenizer.load(folder / "tokenizer.json")
                case _:
                    spec = WordSpec.model_validate(self.config["preprocessing"])
                    self._words = word_vocabulary.load(folder / "words.json", spec)
        except ValidationError as error:
            raise UserError(f"{folder / 'config.json'}: its preprocessing is not of this version") from error
        self._call, classes = _function(folder)
        self.labels: list[str] = _read(folder / "labels.json", "labels")["labels"]
        if not isinstance(self.labels, list) or [type(label) for label in self.labels] != [str] * classes:
            raise UserError(f"{folder / 'labels.json'}: labels must be {classes} names, as many as the model has")

    def image(self, content: bytes, name: str) -> Arrays:
        """An image file as the model takes it. Raises UserError that names it as `name`."""
        return (images.decode(content, self._image, name),)

    def text(self, text: str, name: str) -> Arrays:
        """A text as the model takes it, cut to the length that the model knows. Raises UserError as `image` does."""
        if not text.strip():
            raise UserError(f"{name}: has no text")
        readable = text_tokenizer.readable(text, name)[:MAX_CHARACTERS]
        (tokens,) = text_tokenizer.encode(self._tokenizer, [readable])
        return (text_tokenizer.truncate(tokens, self._text),)

    def sentence(self, sentence: Sequence[str], name: str) -> Arrays:
        """The words of a sentence as the model takes them. Raises UserError as `image` does."""
        if not sentence:
            raise UserError(f"{name}: has no words")
        for word in sentence:
            text_tokenizer.readable(word, name)
        return tuple(self._words.number(sentence))

    def probabilities(self, inputs: Sequence[Arrays]) -> list[Float[np.ndarray, "*t k"]]:
        """The probability of each label, one row an example or, for tags, a row a word, in batches of few shapes, since
        each new shape compiles. A sentence that is longer than the model knows is tagged in parts.
        """
        parts = [(i, part) for i, arrays in enumerate(inputs) for part in self._parts(arrays)]
        found: list[list[Float[np.ndarray, "*t k"]]] = [[] for _ in inputs]
        by_length: dict[int, list[int]] = {}
        for at, (_, part) in enumerate(parts):
            by_length.setdefault(self._padded(part), []).append(at)
        answers: dict[int, Float[np.ndarray, "*t k"]] = {}
        for length, places in sorted(by_length.items()):
            size = BATCH[self.task]
            for start in range(0, len(places), size):
                some = places[start : start + size]
                batch = [self._stack([parts[at][1][i] for at in some], length) for i in range(len(parts[some[0]][1]))]
                for at, row in zip(some, np.asarray(self._call(*batch))):
                    answers[at] = row[: len(parts[at][1][0])] if self.task == "sequence-tagging" else row
        for at, (i, _) in enumerate(parts):
            found[i].append(answers[at])
        return [np.concatenate(rows) if self.task == "sequence-tagging" else rows[0] for rows in found]

    def _parts(self, arrays: Arrays) -> list[Arrays]:
        if self.task != "sequence-tagging":
            return [arrays]
        longest = self._words.spec.max_length
        return [tuple(a[start : start + longest] for a in arrays) for start in range(0, len(arrays[0]), longest)]

    def _padded(self, arrays: Arrays) -> int:
        """The length that a text is filled up to: a power of two."""
        return 0 if self.task == "image-classification" else max(SHORTEST, 1 << (len(arrays[0]) - 1).bit_length())

    def _stack(self, arrays: list[Shaped[np.ndarray, "..."]], length: int) -> Shaped[np.ndarray, "b ..."]:
        """The examples as one batch of the full size; a single one stays alone, for the speed of it."""
        size = 1 if len(arrays) == 1 else BATCH[self.task]
        shape = (length, *arrays[0].shape[1:]) if length else arrays[0].shape
        batch = np.zeros((size, *shape), arrays[0].dtype)
        for row, array in zip(batch, arrays):
            row[: len(array)] = array
        return batch


def opened(folder: Path) -> dict[str, Any]:
    """The package's config.json, every file having been checked. Raises UserError."""
    verify(folder)
    config = _read(folder / "config.json", "task", "preprocessing")
    known = (*BATCH, LANGUAGE)
    if not isinstance(config["task"], str) or config["task"] not in known:
        raise UserError(f"{folder / 'config.json'}: task must be one of {', '.join(known)}, not {config['task']!r}")
    return config


def writes(folder: Path) -> bool:
    """Whether the package is one of a language model. Raises UserError where it is none at all."""
    _manifest(folder)
    return _read(folder / "config.json", "task")["task"] == LANGUAGE


def _read(path: Path, *keys: str) -> dict[str, Any]:
    content = strict_json.read(path)
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise UserError(f"{path}: has no {key}; copy the package anew")
    return content


def restored(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The exported function, and the weights that it takes first. Raises UserError."""
    from jax import export
    from safetensors.numpy import load_file

    try:
        exported = export.deserialize(bytearray((folder / "model.jaxexp").read_bytes()))
        weights = load_file(folder / "model.safetensors")
    except Exception as error:  # a damaged artifact raises whatever its parser stumbles over
        raise UserError(f"{folder}: the model cannot be loaded ({type(error).__name__}: {error})") from error
    return exported, weights


def _function(folder: Path) -> tuple[Any, int]:
    """The compiled model, and how many labels it tells apart."""
    import jax

    exported, weights = restored(folder)
    # Closed over, the weights are constants to the compiler: nearly four times faster for a convolution on a CPU.
    return jax.jit(lambda *inputs: exported.call(weights, *inputs)), exported.out_avals[0].shape[-1]


def seal(folder: Path) -> None:
    """Writes the manifest: the size and sha256 of every other file."""
    files = {name: _facts(folder / name) for name in _files(folder)}
    strict_json.write(folder / MANIFEST, {"format": FORMAT, "files": files})


def verify(folder: Path) -> None:
    """Raises UserError where a file of the package is missing, changed, or not in the manifest."""
    manifest = _manifest(folder)
    listed, there = manifest["files"].keys(), set(_files(folder))
    for name in sorted(listed | there):
        if name not in there:
            raise UserError(f"{folder}: {name} is missing; copy the package anew")
        if name not in listed:
            raise UserError(f"{folder}: {name} is not in {MANIFEST}; remove it, or copy the package anew")
        if _facts(folder / name) != manifest["files"][name]:
            raise UserError(f"{folder}: {name} is damaged: its sha256 is not that of {MANIFEST}; copy the package anew")


def _manifest(folder: Path) -> dict[str, Any]:
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
    return manifest


def _files(folder: Path) -> Sequence[str]:
    found: Iterable[Path] = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != MANIFEST)


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
