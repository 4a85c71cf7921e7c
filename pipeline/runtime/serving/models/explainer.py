"""What explains a served model's answers, beside its other requests."""

import asyncio
import base64
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ...errors import UserError
from ...inputs import Raw
from ...predictor import Predictor
from ..failures import Failure
from .batcher import Batcher

ROOM = 16  # explanations that may wait for a model: each takes as long as a hundred answers


class Asked(NamedTuple):
    """An input, what errors call it, and of a sentence the number of the word whose tag is explained: None for all."""

    content: Raw
    name: str
    word: int | None = None


class Explains(Protocol):
    async def explain(self, asked: Asked) -> dict[str, Any]:
        """The answer, and what spoke for it. Raises UserError."""
        ...

    async def warm_up(self) -> None:
        """Compiles what has one shape. Raises UserError."""
        ...


class Explainer:
    """Of one model. What is compiled for it is compiled while the model starts and answers, before the first
    explanation.
    """

    def __init__(self, of: Explains) -> None:
        self._of = of
        self.batcher: Batcher[Asked, dict[str, Any] | UserError] = Batcher(self._explain, largest=1, room=ROOM)

    def warm_up(self) -> None:
        """Soon: what is asked later waits for it."""
        self._warming = asyncio.create_task(self._warm_up())

    async def close(self) -> None:
        """Answers what waits, and takes no more."""
        await self.batcher.close()
        self._warming.cancel()

    async def _warm_up(self) -> None:
        with suppress(UserError, Failure):  # said to whoever asks
            await self._of.warm_up()

    async def _explain(self, asked: list[Asked]) -> list[dict[str, Any] | UserError]:
        await self._warming
        try:
            return [await self._of.explain(one) for one in asked]
        except UserError as error:
            return [error]


class Answers:
    """Explanations of a predictor's answers."""

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self._predictor, self._folder = predictor, folder

    def explain(self, asked: Asked) -> dict[str, Any]:
        predictor, (content, name, word) = self._predictor, asked
        arrays = predictor.encode(content, name)
        (outputs,) = predictor.outputs([arrays])
        answer = predictor.task.answer(outputs)
        if predictor.inputs.from_files:
            picture, facts = self._of.picture(content, arrays, outputs)
            return {**answer, "explanations": facts, "picture": base64.b64encode(picture).decode()}
        if not predictor.inputs.from_words:
            return {**answer, "explanations": self._of.facts(content, arrays, outputs)}
        if word is not None and not 0 <= word < len(content):
            raise UserError(f"word: must be from 0 to {len(content) - 1}")
        return {**answer, "explanations": self._of.facts(content, arrays, outputs, word)}

    def warm_up(self) -> None:
        if self._predictor.inputs.from_files:  # words are left out by what answers, which is warm
            self._of.warm_up()

    @cached_property
    def _of(self) -> Any:
        """Loaded in the explainer's thread: what it needs is not there for every kind of input."""
        if self._predictor.inputs.from_files:
            from ...explanations.images import Images

            return Images(self._predictor, self._folder)
        from ...explanations.explainer import of_words

        return of_words(self._predictor)
