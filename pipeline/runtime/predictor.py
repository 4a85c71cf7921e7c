"""A packaged model of images, texts or sentences: raw inputs -> answers.

Needs jaxtyping, numpy and what the engine needs; for images also pillow, for texts also tokenizers. What an engine, a
kind of input or a task needs is imported only where it is used.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from . import engines, inputs, tasks
from .errors import UserError
from .inputs import Arrays, Raw
from .package import open_package, read_object
from .tasks import Answer


class Piece(NamedTuple):
    """A part of an example that the model reads at once: all of it, unless it is a sentence that is too long."""

    example: int  # its number
    start: int  # the first token
    arrays: Arrays


class Predictor:
    """A packaged model, run by one of `engines.NAMES`. Raises UserError for a folder that is not such a package, or is
    damaged, or is not signed by the owner of the public key that is required.

    `shared`: other threads of the process need the cores too.
    """

    def __init__(
        self, folder: Path | str, engine: str = "auto", *, require_key: Path | None = None, shared: bool = False
    ) -> None:
        folder = Path(folder)
        self.config = open_package(folder, require_key)
        if tasks.generates(self.config["task"]):
            raise UserError(f"{folder}: contains a language model, which has no labels to choose from")
        kind = read_object(folder / "config.json", "input_kind")["input_kind"]
        self.inputs = inputs.load(kind, folder, self.config["preprocessing"])
        self.engine = engines.load(folder, engine, shared=shared)
        self.run = self.engine.run  # batches of arrays -> outputs, as they are
        self.task = tasks.load(self.config["task"], folder, self.engine.outputs)

    def encode(self, content: Raw, name: str) -> Arrays:
        """The model's inputs for the bytes of an image file, a text, or the words of a sentence, as the task needs.

        Raises UserError that names the input as `name`.
        """
        return self.inputs.encode(content, name)

    def answer(self, text: str) -> Answer:
        """The answer to a text, to a sentence, or to the image file whose path is `text`. Raises UserError."""
        (answer,) = self.answers([self.encode(self.inputs.parse(text), text)])
        return answer

    def answers(self, examples: Sequence[Arrays]) -> list[Answer]:
        """The answer to each of these encoded inputs."""
        return [self.task.answer(outputs) for outputs in self.outputs(examples)]

    def outputs(self, examples: Sequence[Arrays]) -> list[Float[np.ndarray, "*t k"]]:
        """What the model says of each example: one row, or one row for each token."""
        if not self.inputs.min_length:
            size = self.inputs.batch_size
            starts = range(0, len(examples), size)
            return [row for start in starts for row in self._run(examples[start : start + size], None)]
        pieces = [piece for number, arrays in enumerate(examples) for piece in self._split_long(number, arrays)]
        outputs: list[list[tuple[int, np.ndarray]]] = [[] for _ in examples]
        for batch, length in self._batches(pieces):
            for piece, rows in zip(batch, self._run([piece.arrays for piece in batch], length)):
                own = rows[: len(piece.arrays[0])] if self.inputs.max_tokens else rows  # without padding
                outputs[piece.example].append((piece.start, own))
        return [self._rejoin(parts) for parts in outputs]

    def _split_long(self, number: int, arrays: Arrays) -> Iterator[Piece]:
        longest = self.inputs.max_tokens
        if longest is None:
            yield Piece(number, 0, arrays)
            return
        for start in range(0, len(arrays[0]), longest):
            yield Piece(number, start, tuple(array[start : start + longest] for array in arrays))

    def _batches(self, pieces: list[Piece]) -> Iterator[tuple[list[Piece], int]]:
        """Pieces of about one length, and the length that they are padded to: one of few where each is compiled."""

        def length_of(piece: Piece) -> int:
            length = len(piece.arrays[0])
            return max(self.inputs.min_length, 1 << (length - 1).bit_length()) if self.engine.compiles else length

        pieces, size = sorted(pieces, key=length_of), self.inputs.batch_size
        groups = (list(group) for _, group in groupby(pieces, length_of)) if self.engine.compiles else [pieces]
        for group in groups:
            for start in range(0, len(group), size):
                batch = group[start : start + size]
                yield batch, max(1, length_of(batch[-1]))

    def _run(self, batch: Sequence[Arrays], length: int | None) -> Iterable[Float[np.ndarray, "*t k"]]:
        """The outputs of each example of a batch, padded to `length`; None: all are of one shape."""
        if length is None and not self.engine.compiles:
            if len(batch) == 1:
                return self.run([array[None] for array in batch[0]])
            return self.run([np.concatenate(column).reshape(-1, *column[0].shape) for column in zip(*batch)])
        # A compiled batch is full: a shape for each number would have to be compiled. A single example runs alone.
        size = self.inputs.batch_size if self.engine.compiles and len(batch) > 1 else len(batch)
        return self.run([_pad(column, size, length) for column in zip(*batch)])[: len(batch)]

    def _rejoin(self, parts: list[tuple[int, Float[np.ndarray, "*t k"]]]) -> Float[np.ndarray, "*t k"]:
        """An example's outputs, from those of its pieces in any order."""
        rows = [row for _, row in sorted(parts, key=lambda part: part[0])]
        return np.concatenate(rows) if self.inputs.max_tokens else rows[0]


def _pad(arrays: Sequence[Shaped[np.ndarray, "..."]], size: int, length: int | None) -> Shaped[np.ndarray, "b ..."]:
    """A batch of `size` examples of `length` tokens, filled up with zeros."""
    shape = arrays[0].shape if length is None else (length, *arrays[0].shape[1:])
    batch = np.zeros((size, *shape), arrays[0].dtype)
    for row, array in zip(batch, arrays):
        row[: len(array)] = array
    return batch
