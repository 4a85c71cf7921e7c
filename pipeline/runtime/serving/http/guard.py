"""What every request passes: its id, the API key, limits of size and time, the log and the measurements.

It is around the whole application, so that a failure anywhere inside becomes a status and one line.
"""

import asyncio
import hmac
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import UserError, refusal
from .. import telemetry
from ..failures import Failure
from ..telemetry import log

OPEN = ("/", "/page.css", "/page.js", "/v2/health/live", "/v2/health/ready")  # need no key
ID = b"x-request-id"
LONGEST_ID = 100  # characters
GONE = 499  # in the log and the measurements: the client hung up before an answer


@dataclass(frozen=True)
class Limits:
    """Of a request."""

    body: int  # bytes
    seconds: float  # to the response's first byte
    key: str | None  # that clients must send as `Authorization: Bearer KEY`


class Guard:
    """An ASGI middleware; and the same for an endpoint by itself."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request, started, status, received = _id(headers), time.perf_counter(), 0, 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body:
                raise self._too_large()
            return message

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (ID, request.encode())]
                timer.reschedule(None)  # a stream may take its time
            await send(message)

        try:
            async with asyncio.timeout(self._limits.seconds) as timer:
                self._check(scope["path"], headers)
                await self._app(scope, receive_counted, send_marked)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:
            failure = self._failure(error, request)
            if not status:
                await _response(failure, request)(scope, receive, send)
                status = failure.status
        self._record(scope, request, status, started)

    async def answer(self, asked: Request, size: int, endpoint: Callable[[Request], Awaitable[Response]]) -> Response:
        """What the endpoint answers to a request with a body of `size` bytes, or why it does not."""
        headers = dict(asked.scope["headers"])
        request, started = _id(headers), time.perf_counter()
        try:
            async with asyncio.timeout(self._limits.seconds):
                self._check(asked.scope["path"], headers)
                if size > self._limits.body:
                    raise self._too_large()
                response = await endpoint(asked)
                response.raw_headers.append((ID, request.encode()))
        except Exception as error:
            response = _response(self._failure(error, request), request)
        self._record(asked.scope, request, response.status_code, started)
        return response

    def _check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Raises Failure for a request that is not let in."""
        if self._limits.key and path not in OPEN:
            given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
            if not hmac.compare_digest(given, self._limits.key.encode()):
                raise Failure(401, "the API key is missing or wrong", {"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._limits.body:
            raise self._too_large()

    def _too_large(self) -> Failure:
        return Failure(413, f"the body is larger than {self._limits.body:,} bytes", {"Connection": "close"})

    def _failure(self, error: Exception, request: str) -> Failure:
        """What the client is told. A bug's traceback goes to the log."""
        if isinstance(error, Failure):
            return error
        if isinstance(error, TimeoutError):
            return Failure(504, f"no answer within {self._limits.seconds:g} seconds")
        if isinstance(error, UserError):
            return Failure(400, str(error))
        if why := refusal(error):
            log("refused", id=request, why=why)
            return Failure(503, "the server lacks memory or another resource for this", {"Retry-After": "1"})
        log("error", id=request, traceback="".join(traceback.format_exception(error)))
        return Failure(500, f"internal error: the log has it under {request}")

    def _record(self, scope: Scope, request: str, status: int, started: float) -> None:
        seconds = time.perf_counter() - started
        route = getattr(scope.get("route"), "path", "other")
        telemetry.REQUESTS.labels(route, str(status)).inc()
        telemetry.LATENCY.labels(route).observe(seconds)
        log(
            "request", id=request, method=scope["method"], path=scope["path"], status=status, ms=round(1e3 * seconds, 2)
        )


def _id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own, where it is fit for a log."""
    given = headers.get(ID, b"").decode("latin-1")
    is_fit = given.isascii() and given.isprintable() and 0 < len(given) <= LONGEST_ID
    return given if is_fit else f"{random.getrandbits(128):032x}"


def _response(failure: Failure, request: str) -> Response:
    headers = {ID.decode(): request, **failure.headers}
    return JSONResponse({"error": str(failure)}, failure.status, headers)
