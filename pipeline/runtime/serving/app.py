"""The application: its routes, and what becomes of errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from . import telemetry
from .failures import Failure
from .http.guard import Guard, Limits
from .http.shortcut import Shortcut
from .models.repository import Repository
from .routes import explanations, open_inference, page, predictions


class Refusal(BaseModel):
    """What every request gets that is not answered."""

    error: str  # one line: what, where, and the cure


def create(repository: Repository, limits: Limits, *, may_load: bool) -> tuple[ASGIApp, Shortcut]:
    """The application, and what answers some of its requests without it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await repository.close()

    refused: dict[int | str, dict[str, Any]] = {"4XX": {"model": Refusal}, "5XX": {"model": Refusal}}
    app = FastAPI(title="Models", version="1", lifespan=lifespan, responses=refused)
    app.include_router(open_inference.routes(repository, may_load=may_load))
    app.include_router(predictions.routes(repository))
    app.include_router(explanations.routes(repository))
    if repository.generates:
        from .routes import generations  # needs the libraries of language models

        app.include_router(generations.routes(repository))
    app.include_router(page.routes(repository))

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(Failure)
    async def failed(_: Request, error: Failure) -> Response:
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_found(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)

    infer = open_inference.endpoint(repository)
    hot = [
        Route("/predict", predictions.endpoint(repository), methods=["POST"]),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
        Route("/v2/models/{name}/versions/{version}/infer", infer, methods=["POST"]),
    ]
    guard = Guard(app, limits)
    return guard, Shortcut(hot, guard)
