"""The models that a server has: by name, loaded, swapped and unloaded without losing a request."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ... import package, tasks
from ...errors import UserError
from ...trust import signatures
from ...trust.manifest import MANIFEST
from .. import telemetry
from ..failures import Failure
from .model import Model

if TYPE_CHECKING:
    from .language_model import LanguageModel

Served: TypeAlias = "Model | LanguageModel"


class Repository:
    """Its folders by name, and those models that are loaded."""

    def __init__(self, folders: Mapping[str, Path], *, engine: str, room: int, require_key: Path | None) -> None:
        self.folders, self._engine, self._room, self._key = dict(folders), engine, room, require_key
        self._loaded: dict[str, Served] = {}
        self._in_use: dict[int, int] = {}  # requests that hold a model, by its id
        self._loading = asyncio.Lock()

    @property
    def first(self) -> str:
        """The name of the model that answers where none is named."""
        return next(iter(self.folders))

    @property
    def generates(self) -> bool:
        """Whether one of the models that are loaded is a language model."""
        return any(model.generates for model in self._loaded.values())

    @property
    def ready(self) -> bool:
        """Whether every model is."""
        return self._loaded.keys() == self.folders.keys()

    def get(self, name: str | None = None, version: str | None = None) -> Served:
        """Raises Failure where there is no such model, or it is not loaded."""
        name = self.first if name is None else name
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
    def using(self, name: str | None, version: str | None = None) -> Iterator[Served]:
        """A model that is not unloaded before the end."""
        model = self.get(name, version)
        self._in_use[id(model)] = self._in_use.get(id(model), 0) + 1
        try:
            yield model
        finally:
            self._in_use[id(model)] -= 1

    @contextmanager
    def predictor(self, name: str | None, version: str | None = None) -> Iterator[Model]:
        """As `using`. Raises Failure for a language model."""
        with self.using(name, version) as model:
            if model.generates is True:
                raise Failure(400, f"{model.name} is a language model: POST /generate or /v1/completions")
            yield model

    async def load(self, name: str) -> Served:
        """Loads a model, or its package anew: requests go to the old one until the new one is warm. Raises Failure, and
        keeps the old one, where the package cannot be loaded.
        """
        if name not in self.folders:
            raise Failure(404, f"no model {name[:60]!r}: there are {', '.join(self.folders)}")
        try:
            return await self.start(name)
        except UserError as error:
            raise Failure(400, str(error)) from error

    async def start(self, name: str) -> Served:
        """As `load`, for a name that it has. Raises UserError."""
        async with self._loading:
            model = await self._warm(name)
            old = self._loaded.get(name)
            self._loaded[name] = model
            _count(model, 1)
            telemetry.WAITING.labels(name).set_function(lambda: model.waiting)
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

    async def _drain(self, model: Served) -> None:
        """Waits for the requests that hold the model."""
        while self._in_use.get(id(model)):
            await asyncio.sleep(0.01)
        await model.close()
        self._in_use.pop(id(model), None)
        if not (same := self._loaded.get(model.name)) or same.version != model.version:
            _count(model, 0)

    async def _warm(self, name: str) -> Served:
        model = await asyncio.to_thread(self._open, name)
        await model.start()
        model.explainer.warm_up()
        return model

    def _open(self, name: str) -> Served:
        folder = self.folders[name]
        signatures.require(folder, self._key)
        if not (folder / "signature.json").exists() and (folder / MANIFEST).exists():
            raise UserError(f"{folder}: is of an earlier format: `python -m pipeline repackage {folder}` makes it anew")
        if tasks.generates(package.task_of(folder)):
            from .language_model import LanguageModel

            return LanguageModel(name, folder, room=self._room)
        return Model(name, folder, engine=self._engine, room=self._room)


def _count(model: Served, number: int) -> None:
    telemetry.MODELS.labels(model.name, model.version, model.config["task"], model.engine).set(number)
