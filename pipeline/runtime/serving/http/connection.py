"""Connections: uvicorn's, with two changes.

Clients that send a request's head slowly, without end, or not at all are refused: uvicorn would wait for them. And a
request that has arrived whole may be answered by the shortcut, past ASGI.
"""

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .shortcut import Shortcut

LARGEST = 64 << 10  # bytes of a head
LINGER = 1.0  # seconds in which a server that ends reads what has arrived
SOON = 0.02  # seconds in which a small body follows its head
TOO_SLOW, TOO_LARGE = "408 Request Timeout", "431 Request Header Fields Too Large"


def connection(seconds: float, shortcut: Shortcut) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, in which a head must have come `seconds` after its first byte, or after the connection."""

    class Connection(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None  # runs while a head is awaited
        _received = 0  # bytes, since then
        _begun: tuple[RequestResponseCycle, Any] | None = None  # a request whose head was read, and its application
        _late: asyncio.TimerHandle | None = None  # runs while its body is awaited

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._await_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._await_head()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._timer is not None:
                self._received += len(data)
                if self._received > LARGEST:
                    self._refuse(TOO_LARGE)
            self._start()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._start()  # the next one, if it came before this response

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            self._begun = cycle, app  # what came with the head is read first

        def _start(self, *, is_late: bool = False) -> None:
            """The request whose head was read. Many clients send a head and a small body one after the other."""
            if self._begun is None:
                return
            cycle, app = self._begun
            scope = cast(Scope, cycle.scope)
            is_whole = not cycle.more_body
            may_be_soon = not (is_late or self.flow.read_paused or cycle.waiting_for_100_continue)
            if not is_whole and may_be_soon and shortcut.serves(scope):
                if self._late is None:
                    self._late = self.loop.call_later(SOON, lambda: self._start(is_late=True))
                return
            self._begun = None
            if self._late is not None:
                self._late.cancel()
                self._late = None
            if not is_whole or not shortcut.serves(scope):
                super()._start_asgi_task(cycle, app)
                return
            task = self.loop.create_task(self._respond(cycle))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        async def _respond(self, cycle: RequestResponseCycle) -> None:
            response = await shortcut.respond(cast(Scope, cycle.scope), bytes(cycle.body))
            if self.flow.write_paused and not cycle.disconnected:
                await self.flow.drain()
            if cycle.disconnected:
                return
            headers = [*self.server_state.default_headers, *response.raw_headers]
            if (b"connection", b"close") in response.raw_headers:
                cycle.keep_alive = False
            elif not cycle.keep_alive:
                headers.append((b"connection", b"close"))
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", response.body]))
            cycle.response_complete = True
            if not cycle.keep_alive:
                self.transport.close()
            self.on_response_complete()

        def shutdown(self) -> None:
            """When the server ends: what the client has sent already is read first."""
            self.loop.call_later(LINGER, super().shutdown)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)
            self._start(is_late=True)

        def _await_head(self) -> None:
            self._received = 0
            self._timer = self.loop.call_later(seconds, self._refuse, TOO_SLOW)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, status: str) -> None:
            self._stop_timer()
            self.transport.write(f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
            self.transport.close()

    return Connection
