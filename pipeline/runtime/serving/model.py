"""A package that is served: its model, warm, and the batcher that its requests share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from .. import strict_json
from ..errors import UserError
from ..hashes import sha256
from ..inputs import Arrays, Raw
from ..package import read_object
from ..predictor import Predictor
from ..tasks import Answer
from ..trust.manifest import MANIFEST
from . import telemetry
from .batcher import Batcher
from .explainer import Answers, Explainer


class Given(NamedTuple):
    """An input as a client sent it, and what errors call it."""

    content: Raw
    name: str


Outputs: TypeAlias = Float[np.ndarray, "*t k"]


class Model:
    """Raises UserError for a folder that is not such a package, or is damaged."""

    generates: Literal[False] = False  # text

    def __init__(self, name: str, folder: Path, *, engine: str, room: int) -> None:
        self.name, self.folder, self.room = name, folder, room
        self.version = sha256(folder / MANIFEST)[:12]
        self.predictor = Predictor(folder, engine, shared=True)
        self.config = self.predictor.config
        self.signature = read_object(folder / "signature.json", "inputs", "outputs", "raw_inputs", "buckets")
        self.samples: list[dict[str, Any]] = strict_json.read(folder / "sample" / "expected.json")["samples"]
        self.batcher: Batcher[Given | Arrays, Outputs | UserError] = Batcher(
            self._outputs,
            largest=self.predictor.inputs.batch_size,
            room=room,
            on_batch=telemetry.batches(name, self.version),
        )

        self.explainer = Explainer(Answers(self.predictor, folder))

    @property
    def engine(self) -> str:
        return self.predictor.engine.name

    @property
    def waiting(self) -> int:
        return self.batcher.waiting

    async def close(self) -> None:
        """Answers what waits, and takes no more."""
        await self.batcher.close()
        await self.explainer.batcher.close()

    def warm_up(self) -> None:
        """Runs every shape that a request can have, where each is compiled, so that no request waits for that."""
        self.explainer.warm_up()
        engine, arrays = self.predictor.engine, self.predictor.encode(*self.sample(0))
        self.predictor.outputs([arrays])
        if not engine.compiles:
            return
        for length in self.signature["buckets"].get("length", [0]):
            stretched = tuple(np.resize(array, (length, *array.shape[1:])) if length else array for array in arrays)
            for size in (1, 2):  # alone, and in a full batch
                self.predictor.outputs([stretched] * size)

    async def outputs(self, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
        """What the model says of each input, or what is wrong with it. Raises Busy."""
        return await self.batcher.submit(given)

    def answer(self, outputs: Outputs | UserError) -> Answer:
        """The answer that outputs mean, or the error."""
        return {"error": str(outputs)} if isinstance(outputs, UserError) else self.predictor.task.answer(outputs)

    def sample(self, number: int) -> Given:
        """One of the package's own inputs, as a client would send it."""
        sample = self.samples[number]
        if "file" in sample:
            return Given((self.folder / "sample" / sample["file"]).read_bytes(), sample["file"])
        return Given(sample.get("words") or sample["text"], f"sample {number}")

    def _outputs(self, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
        """In the batcher's thread."""
        encoded = [self._encode(one) if isinstance(one, Given) else one for one in given]
        outputs = iter(self.predictor.outputs([one for one in encoded if not isinstance(one, UserError)]))
        return [one if isinstance(one, UserError) else next(outputs) for one in encoded]

    def _encode(self, given: Given) -> Arrays | UserError:
        try:
            return self.predictor.encode(*given)
        except UserError as error:
            return error
