"""Connections of clients that send a request's head slowly, without end, or not at all: uvicorn would wait for them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 64 << 10  # bytes of a head
LINGER = 1.0  # seconds in which a server that ends reads what has arrived
TOO_SLOW, TOO_LARGE = "408 Request Timeout", "431 Request Header Fields Too Large"


def connection(seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, in which a head must have come `seconds` after its first byte, or after the connection."""

    class Connection(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None  # runs while a head is awaited
        _received = 0  # bytes, since then

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

        def shutdown(self) -> None:
            """When the server ends: what the client has sent already is read first."""
            self.loop.call_later(LINGER, super().shutdown)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

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
