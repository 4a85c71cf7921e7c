"""Why a model answers as it does: a picture of an image's pixels, or the weights of a text's words."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ...errors import UserError
from ..failures import Failure
from ..models.explainer import Asked
from ..models.repository import Repository
from . import predictions
from .tensors import parse_json


def routes(repository: Repository) -> APIRouter:
    router = APIRouter(tags=["Raw inputs"])

    @router.post("/explain", openapi_extra={"requestBody": predictions.BODY})
    async def explain(request: Request, model: str | None = None, word: int | None = None) -> Response:
        """The answer to one input, and what spoke for it; of a sentence, for the tag of one `word`, from 0, or of all.
        Of a language model, what spoke for the likeliest next token. With `Accept: image/png`, a picture alone.
        """
        with repository.using(model) as served:
            if served.generates is True:
                asked = Asked(await _text(request), "the input")
            else:
                given, _ = await predictions.inputs(served, request)
                if len(given) != 1:
                    raise Failure(400, "one input is explained at a time")
                asked = Asked(*given[0], word)
            (found,) = await served.explainer.batcher.submit([asked])
        if isinstance(found, UserError):
            raise Failure(400, str(found))
        if "picture" in found and request.headers.get("accept") == "image/png":
            return Response(base64.b64decode(found["picture"]), media_type="image/png")
        return JSONResponse(found)

    return router


async def _text(request: Request) -> str:
    """A text by itself, or in JSON as the only one of `inputs`. Raises Failure."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        content: Any = parse_json(body)
        listed = content.get("inputs") if isinstance(content, dict) else None
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], str):
            raise Failure(400, "the body must be an object with a list `inputs` of one text")
        return listed[0]
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(400, "the input: is not UTF-8") from error
