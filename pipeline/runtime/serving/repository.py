"""The models that a server has: by name, loaded, swapped and unloaded without losing a request."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from . import telemetry
from .failures import Failure
from .model import Model


class Repository:
    """Its folders by name, and those models that are loaded. The first is the one that answers where none is named."""

    def __init__(self, folders: Mapping[str, Path], *, engine: str, room: int) -> None:
        self.folders, self._engine, self._room = dict(folders), engine, room
        self._loaded: dict[str, Model] = {}
        self._in_use: dict[int, int] = {}  # requests that hold a model, by its id
        self._loading = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether every model is."""
        return self._loaded.keys() == self.folders.keys()

    def get(self, name: str | None = None, version: str | None = None) -> Model:
        """Raises Failure where there is no such model, or it is not loaded."""
        name = next(iter(self.folders)) if name is None else name
        if name not in self.folders:
            raise Failure(404, f"no model {name[:60]!r}: there are {', '.join(self.folders)}")
        if name not in self._loaded:
            raise Failure(503, f"{name} is not loaded", {"Retry-After": "1"})
        model = self._loaded[name]
        if version is not None and version != model.version:
            raise Failure(404, f"{name} has no version {version[:60]!r}: it is at {model.version}")
        return model

    def state(self, name: str) -> dict[str, str]:
        """As the protocol's repository index has it."""
        model = self._loaded.get(name)
        return {"state": "READY", "version": model.version} if model else {"state": "UNAVAILABLE", "reason": "unloaded"}

    @contextmanager
    def using(self, name: str | None, version: str | None = None) -> Iterator[Model]:
        """A model that is not unloaded before the end."""
        model = self.get(name, version)
        self._in_use[id(model)] = self._in_use.get(id(model), 0) + 1
        try:
            yield model
        finally:
            self._in_use[id(model)] -= 1

    async def load(self, name: str) -> Model:
        """Loads a model, or its package anew: requests go to the old one until the new one is warm. Raises Failure, and
        keeps the old one, where the package cannot be loaded.
        """
        if name not in self.folders:
            raise Failure(404, f"no model {name[:60]!r}: there are {', '.join(self.folders)}")
        try:
            return await self.start(name)
        except UserError as error:
            raise Failure(400, str(error)) from error

    async def start(self, name: str) -> Model:
        """As `load`, for a name that it has. Raises UserError."""
        async with self._loading:
            model = await asyncio.to_thread(self._warm, name)
            old = self._loaded.get(name)
            self._loaded[name] = model
            telemetry.MODELS.labels(name, model.version, model.config["task"], model.predictor.engine.name).set(1)
            telemetry.WAITING.labels(name).set_function(lambda: model.batcher.waiting)
            if old:
                await self._drain(old)
            return model

    async def unload(self, name: str) -> None:
        """Raises Failure where it is not loaded."""
        async with self._loading:
            model = self.get(name)
            del self._loaded[name]
            await self._drain(model)

    async def close(self) -> None:
        for name in list(self._loaded):
            await self.unload(name)

    async def _drain(self, model: Model) -> None:
        """Waits for the requests that hold the model."""
        while self._in_use.get(id(model)):
            await asyncio.sleep(0.01)
        await model.batcher.close()
        self._in_use.pop(id(model), None)
        telemetry.MODELS.labels(model.name, model.version, model.config["task"], model.predictor.engine.name).set(
            0 if self._loaded.get(model.name) is not model else 1
        )

    def _warm(self, name: str) -> Model:
        model = Model(name, self.folders[name], engine=self._engine, room=self._room)
        model.warm_up()
        return model
