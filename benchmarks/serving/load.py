"""A client that loads an HTTP server: connections that each ask again as soon as they are answered."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Answers:
    """What a load got."""

    seconds: float  # that it lasted
    times: list[float] = field(default_factory=list)  # of the requests that were answered with 200, in seconds
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return 1e3 * sorted(self.times)[int(share * len(self.times))]

    def __str__(self) -> str:
        return f"{self.rate:,.0f} requests/s, median {self.percentile(0.5):.2f} ms, 99 % {self.percentile(0.99):.2f} ms"


def post(path: str, kind: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(NamedTuple):
    """To a server, kept alive."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status of the answer, and its body."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(size)

    def close(self) -> None:
        self.writer.close()


async def load(port: int, request: bytes, connections: int, seconds: float) -> Answers:
    """Each connection asks at least once."""
    answers = Answers(seconds)
    end = time.perf_counter() + seconds

    async def ask() -> None:
        connection = await Connection.open(port)
        sent = time.perf_counter()
        while True:
            status, _ = await connection.ask(request)
            answers.statuses[status] += 1
            if status == 200:
                answers.times.append(time.perf_counter() - sent)
            if (sent := time.perf_counter()) >= end:
                break
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return answers


async def until_answered(port: int, request: bytes, patience: float = 60) -> float:
    """The seconds until the server answers a request with 200."""
    started = time.perf_counter()
    while time.perf_counter() < started + patience:
        try:
            if (await load(port, request, 1, 0)).statuses[200]:
                return time.perf_counter() - started
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.02)
    raise TimeoutError(f"port {port}: no answer within {patience:g} s")
