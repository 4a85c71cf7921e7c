"""Why a model answers as it does: a picture of an image's pixels, or the weights of a text's parts."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ...errors import UserError
from ..batcher import Batcher
from ..failures import Failure
from ..model import Given, Model
from ..repository import Repository
from . import predictions

ROOM = 16  # explanations that may wait for a model: each takes as long as a hundred answers


def routes(repository: Repository) -> APIRouter:
    router = APIRouter(tags=["Raw inputs"])
    explainers: dict[str, tuple[str, Batcher[Given, dict[str, Any] | UserError]]] = {}  # by model, with its version

    def explainer(model: Model) -> Batcher[Given, dict[str, Any] | UserError]:
        version, found = explainers.get(model.name, ("", None))
        if found is None or version != model.version:
            found = Batcher(Explainer(model).explain, largest=1, room=ROOM)
            explainers[model.name] = model.version, found
        return found

    @router.post("/explain", openapi_extra={"requestBody": predictions.BODY})
    async def explain(request: Request, model: str | None = None) -> Response:
        """The answer to one input, and what spoke for it. With `Accept: image/png`, that picture alone."""
        with repository.predictor(model) as served:
            given, _ = await predictions.inputs(served, request)
            if len(given) != 1:
                raise Failure(400, "one input is explained at a time")
            (found,) = await explainer(served).submit(given)
        if isinstance(found, UserError):
            raise Failure(400, str(found))
        if "picture" in found and request.headers.get("accept") == "image/png":
            return Response(base64.b64decode(found["picture"]), media_type="image/png")
        return JSONResponse(found)

    return router


class Explainer:
    """Of one model. What it needs is loaded with the first explanation."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._images: Any = None

    def explain(self, given: list[Given]) -> list[dict[str, Any] | UserError]:
        return [self._one(one) for one in given]

    def _one(self, given: Given) -> dict[str, Any] | UserError:
        predictor = self._model.predictor
        try:
            if predictor.inputs.from_words:
                raise UserError("tags of words are not explained: only images and texts are")
            arrays = predictor.encode(*given)
            (outputs,) = predictor.outputs([arrays])
            answer = predictor.task.answer(outputs)
            if not predictor.inputs.from_files:
                from ...explanations.texts import Texts

                return {**answer, "explanations": Texts(predictor).parts(given.content, arrays, outputs)}
            if self._images is None:
                from ...explanations import images

                self._images = images.load(predictor, self._model.folder, self._model.folder)
            content, facts = self._images.picture(arrays, outputs)
            return {**answer, "explanations": facts, "picture": base64.b64encode(content).decode()}
        except UserError as error:
            return error
