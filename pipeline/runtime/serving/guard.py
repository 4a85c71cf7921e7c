"""What every request passes: its id, the API key, limits of size and time, the log and the measurements.

An ASGI middleware around the whole application, so that a failure anywhere inside becomes a status and one line.
"""

import asyncio
import hmac
import json
import sys
import time
import traceback
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import UserError, refusal
from . import telemetry
from .failures import Failure

OPEN = ("/", "/page.css", "/page.js", "/v2/health/live", "/v2/health/ready")  # need no key
ID = "x-request-id"
LONGEST_ID = 100  # characters
GONE = 499  # in the log and the measurements: the client hung up before an answer


@dataclass(frozen=True)
class Limits:
    """Of a request."""

    body: int  # bytes
    seconds: float  # to the response's first byte
    key: str | None  # that clients must send as `Authorization: Bearer KEY`


class Guard:
    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(ID.encode(), b"").decode("latin-1")
        is_fit = given.isascii() and given.isprintable() and 0 < len(given) <= LONGEST_ID
        request = given if is_fit else uuid.uuid4().hex
        started, status, received = time.perf_counter(), 0, 0

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
                message["headers"] = [*message["headers"], (ID.encode(), request.encode())]
                timer.reschedule(None)  # a stream may take its time
            await send(message)

        failure: Failure | None = None
        try:
            async with asyncio.timeout(self._limits.seconds) as timer:
                self._check(scope["path"], headers)
                await self._app(scope, receive_counted, send_marked)
        except TimeoutError:
            failure = Failure(504, f"no answer within {self._limits.seconds:g} seconds")
        except ClientDisconnect:
            status = status or GONE
        except Failure as error:
            failure = error
        except Exception as error:
            failure = _from(error, request)
        if failure and not status:
            status = failure.status
            await _respond(failure, request, send)
        self._record(scope, request, status, time.perf_counter() - started)

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

    def _record(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        telemetry.REQUESTS.labels(route, str(status)).inc()
        telemetry.LATENCY.labels(route).observe(seconds)
        log(
            "request", id=request, method=scope["method"], path=scope["path"], status=status, ms=round(1e3 * seconds, 2)
        )


def log(event: str, **facts: Any) -> None:
    """One line of JSON on standard error."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(json.dumps({"time": moment, "event": event, **facts}), file=sys.stderr)


def _from(error: Exception, request: str) -> Failure:
    """What the client is told. A bug's traceback goes to the log."""
    if isinstance(error, UserError):
        return Failure(400, str(error))
    if why := refusal(error):
        log("refused", id=request, why=why)
        return Failure(503, "the server lacks memory or another resource for this", {"Retry-After": "1"})
    log("error", id=request, traceback="".join(traceback.format_exception(error)))
    return Failure(500, f"internal error: the log has it under {request}")


async def _respond(failure: Failure, request: str, send: Send) -> None:
    body = json.dumps({"error": str(failure)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), ID: request, **failure.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": failure.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
