"""Answers to raw inputs: a body is an image file, a text, a JSON object with a list of either, or a form with files."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from ..failures import Failure
from ..json_response import Json
from ..models.model import Model
from ..models.repository import Repository
from ..models.worker import Given
from . import tables
from .tensors import parse_json

IMAGES = ("image/png", "image/jpeg", "image/webp", "application/octet-stream")


def routes(repository: Repository) -> APIRouter:
    router = APIRouter(tags=["Raw inputs"])
    answer = endpoint(repository)

    @router.post("/predict", openapi_extra={"requestBody": BODY})
    async def predict(request: Request, model: str | None = None, column: str = "text") -> Response:
        """The answer to one input; or, to several, a list `answers`, in which one may be an `error`. A CSV table, whose
        texts are in `column`, comes back with the answers in further columns.
        """
        return await answer(request)

    return router


def endpoint(repository: Repository) -> Callable[[Request], Awaitable[Response]]:
    """What answers such a request."""

    async def answer(request: Request) -> Response:
        query = request.query_params
        with repository.predictor(query.get("model")) as served:
            if _kind(request) == "text/csv":
                table = await tables.answered(served, await request.body(), query.get("column", "text"))
                return Response(table, media_type="text/csv")
            given, alone = await inputs(served, request)
            answers = [served.answer(one) for one in await served.outputs(given)]
        if alone and "error" in answers[0]:
            raise Failure(400, answers[0]["error"])
        facts = answers[0] if alone else {"answers": answers}
        return Json({"model": served.name, "version": served.version, **facts})

    return answer


BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGES},
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {"inputs": {"type": "array", "items": {"type": "string"}}},
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"inputs": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    },
}


async def inputs(model: Model, request: Request) -> tuple[list[Given], bool]:
    """The inputs in a request, and whether it is a single one by itself. Raises Failure."""
    kind = _kind(request)
    if kind == "application/json":
        return _from_json(model, parse_json(await request.body())), False
    if kind == "multipart/form-data":
        return await _from_form(model, request), False
    wants = "text/plain" if not model.inputs.from_files else "an image's type"
    if (kind == "text/plain") == model.inputs.from_files or kind not in ("text/plain", *IMAGES):
        raise Failure(415, f"content type {kind[:60]!r}: {model.name} takes {wants}, application/json or a form")
    return [_given(model, await request.body(), "the input")], True


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()


def _from_json(model: Model, content: Any) -> list[Given]:
    listed = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        what = "image files in base64" if model.inputs.from_files else "texts"
        raise Failure(400, f"the body must be an object with a list `inputs` of {what}")
    _check_count(model, listed)
    if not model.inputs.from_files:
        return [Given(model.inputs.parse(text), f"input {i}") for i, text in enumerate(listed, start=1)]
    try:
        return [Given(base64.b64decode(one, validate=True), f"input {i}") for i, one in enumerate(listed, start=1)]
    except (binascii.Error, ValueError) as error:
        raise Failure(400, f"inputs: not base64 ({error})") from error


async def _from_form(model: Model, request: Request) -> list[Given]:
    try:
        async with request.form(max_files=model.room, max_fields=model.room) as form:
            given = [
                _given(model, await value.read(), value.filename or name)
                if isinstance(value, UploadFile)
                else _given(model, value.encode(), name)
                for name, value in form.multi_items()
            ]
    except MultiPartException as error:
        raise Failure(400, f"the form cannot be read: {error.message}") from error
    _check_count(model, given)
    return given


def _given(model: Model, content: bytes, name: str) -> Given:
    if model.inputs.from_files:
        return Given(content, name)
    try:
        return Given(model.inputs.parse(content.decode("utf-8-sig")), name)
    except UnicodeDecodeError as error:
        raise Failure(400, f"{name}: is not UTF-8") from error


def _check_count(model: Model, given: Sequence[Any]) -> None:
    if not given:
        raise Failure(400, "inputs: is empty")
    if len(given) > model.room:
        raise Failure(413, f"{len(given):,} inputs: at most {model.room:,} are taken at a time")
