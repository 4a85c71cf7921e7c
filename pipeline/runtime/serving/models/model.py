"""A package that is served: what its requests need to know of it, and the batcher that they share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from ... import inputs, strict_json, tasks
from ...errors import UserError
from ...hashes import sha256
from ...inputs import Arrays
from ...package import open_package, read_object
from ...tasks import Answer
from ...trust.manifest import MANIFEST
from .. import telemetry
from ..failures import Failure
from ..telemetry import log
from .batcher import Batcher
from .explainer import Asked, Explainer
from .worker import Ended, Given, Outputs, Worker

T = TypeVar("T")


class Model:
    """Raises UserError for a folder that is not such a package, or is damaged."""

    generates: Literal[False] = False  # text

    def __init__(self, name: str, folder: Path, *, engine: str, room: int) -> None:
        self.name, self.folder, self.engine, self.room = name, folder, engine, room
        self.version = sha256(folder / MANIFEST)[:12]
        self.config = open_package(folder)
        kind = read_object(folder / "config.json", "input_kind")["input_kind"]
        self.inputs = inputs.load(kind, folder, self.config["preprocessing"])
        self.signature = read_object(folder / "signature.json", "inputs", "outputs", "raw_inputs", "buckets")
        self.task = tasks.load(self.config["task"], folder, self.signature["outputs"][0]["shape"][-1])
        self.samples: list[dict[str, Any]] = strict_json.read(folder / "sample" / "expected.json")["samples"]
        self.batcher: Batcher[Given | Arrays, Outputs | UserError] = Batcher(
            self._outputs,
            largest=self.inputs.batch_size,
            room=room,
            at_once=2,
            on_batch=telemetry.batches(name, self.version),
        )
        self.explainer = Explainer(self)
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Before anything else. Raises UserError."""
        self._worker = await Worker.start(self.folder, self.engine)
        self.engine = self._worker.engine

    @property
    def waiting(self) -> int:
        return self.batcher.waiting

    async def close(self) -> None:
        """Answers what waits, and takes no more."""
        await self.batcher.close()
        await self.explainer.close()
        await self._worker.close()

    async def outputs(self, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
        """What the model says of each input, or what is wrong with it. Raises Failure."""
        return await self.batcher.submit(given)

    def answer(self, outputs: Outputs | UserError) -> Answer:
        """The answer that outputs mean, or the error."""
        return {"error": str(outputs)} if isinstance(outputs, UserError) else self.task.answer(outputs)

    async def explain(self, asked: Asked) -> dict[str, Any]:
        """For the explainer. Raises UserError and Failure."""
        return await self._by_worker(lambda worker: worker.explain(asked))

    async def warm_up(self) -> None:
        """For the explainer. Raises UserError and Failure."""
        await self._by_worker(lambda worker: worker.warm_up())

    async def _outputs(self, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
        return await self._by_worker(lambda worker: worker.outputs(given))

    async def _by_worker(self, work: Callable[[Worker], Awaitable[T]]) -> T:
        """Where it has ended, it is started anew for others."""
        worker = self._worker
        try:
            return await work(worker)
        except Ended as end:
            async with self._starting:
                if worker is self._worker:
                    await self._start_anew()
            raise Failure(503, "the model had to be started anew: try again", {"Retry-After": "1"}) from end

    async def _start_anew(self) -> None:
        log("model ended", model=self.name)
        await self._worker.close()
        try:
            self._worker = await Worker.start(self.folder, self.engine)
        except UserError as error:  # the next request tries again
            log("model does not start", model=self.name, why=str(error))
