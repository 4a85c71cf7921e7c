"""A packaged model of images, texts or sentences: raw inputs -> answers.

Needs jax, flatbuffers, jaxtyping, numpy and safetensors; for images also pillow, for texts also tokenizers. What a kind
of input or a task needs is imported only for a package that has it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from . import inputs, tasks
from .errors import UserError
from .inputs import Arrays, Raw
from .package import load_function, open_package, read_object, run
from .tasks import Answer


class Piece(NamedTuple):
    """A part of an example that the model reads at once: all of it, unless it is a sentence that is too long."""

    example: int  # its number
    start: int  # the first token
    arrays: Arrays


class Predictor:
    """A packaged model. Raises UserError for a folder that is not such a package, or is damaged, or is not signed by
    the owner of the public key that is required.
    """

    def __init__(self, folder: Path, require_key: Path | None = None) -> None:
        self.config = open_package(folder, require_key)
        if tasks.generates(self.config["task"]):
            raise UserError(f"{folder}: contains a language model, which has no labels to choose from")
        kind = read_object(folder / "config.json", "input_kind")["input_kind"]
        self.inputs = inputs.load(kind, folder, self.config["preprocessing"])
        self._call, outputs = _compile(folder)
        self.task = tasks.load(self.config["task"], folder, outputs)

    def encode(self, content: Raw, name: str) -> Arrays:
        """The model's inputs for the bytes of an image file, a text, or the words of a sentence, as the task needs.

        Raises UserError that names the input as `name`.
        """
        return self.inputs.encode(content, name)

    def answers(self, examples: Sequence[Arrays]) -> list[Answer]:
        """The answer to each of these encoded inputs."""
        return [self.task.answer(outputs) for outputs in self.outputs(examples)]

    def outputs(self, examples: Sequence[Arrays]) -> list[Float[np.ndarray, "*t k"]]:
        """What the model says of each example: one row, or one row for each token.

        Examples run in batches of few shapes, since each new shape is compiled.
        """
        pieces = [piece for number, arrays in enumerate(examples) for piece in self._split_long(number, arrays)]
        outputs: list[list[tuple[int, np.ndarray]]] = [[] for _ in examples]
        for batch, length in self._bucket(pieces):
            for piece, output in zip(batch, self._run(batch, length)):
                outputs[piece.example].append((piece.start, output))
        return [self._rejoin(parts) for parts in outputs]

    def _split_long(self, number: int, arrays: Arrays) -> Iterator[Piece]:
        longest = self.inputs.max_tokens
        if longest is None:
            yield Piece(number, 0, arrays)
            return
        for start in range(0, len(arrays[0]), longest):
            yield Piece(number, start, tuple(array[start : start + longest] for array in arrays))

    def _bucket(self, pieces: list[Piece]) -> Iterator[tuple[list[Piece], int]]:
        """Batches of pieces that are padded to the same length, and that length."""

        def length_of(piece: Piece) -> int:
            return self.inputs.padded_length(piece.arrays)

        size = self.inputs.batch_size
        for length, group in groupby(sorted(pieces, key=length_of), length_of):
            bucket = list(group)
            for start in range(0, len(bucket), size):
                yield bucket[start : start + size], length

    def _run(self, batch: list[Piece], length: int) -> Iterator[Float[np.ndarray, "*t k"]]:
        """The outputs of each piece, without padding."""
        columns = zip(*(piece.arrays for piece in batch))
        rows = np.asarray(self._call(*(self._stack(column, length) for column in columns)))
        for piece, row in zip(batch, rows):
            yield row[: len(piece.arrays[0])] if self.inputs.max_tokens else row

    def _stack(self, arrays: Sequence[Shaped[np.ndarray, "..."]], length: int) -> Shaped[np.ndarray, "b ..."]:
        """A batch of the full size, padded with zeros; a single example runs alone, which is faster."""
        size = 1 if len(arrays) == 1 else self.inputs.batch_size
        shape = (length, *arrays[0].shape[1:]) if length else arrays[0].shape
        batch = np.zeros((size, *shape), arrays[0].dtype)
        for row, array in zip(batch, arrays):
            row[: len(array)] = array
        return batch

    def _rejoin(self, parts: list[tuple[int, Float[np.ndarray, "*t k"]]]) -> Float[np.ndarray, "*t k"]:
        """An example's outputs, from those of its pieces in any order."""
        rows = [row for _, row in sorted(parts, key=lambda part: part[0])]
        return np.concatenate(rows) if self.inputs.max_tokens else rows[0]


def _compile(folder: Path) -> tuple[Callable[..., Any], int]:
    """The compiled model, and how many outputs it has."""
    import jax

    exported, weights = load_function(folder)
    # Closed over, the weights are constants to the compiler: nearly four times faster for a convolution on a CPU.
    call = jax.jit(lambda *inputs: exported.call(weights, *inputs))
    return run(folder, call), exported.out_avals[0].shape[-1]
