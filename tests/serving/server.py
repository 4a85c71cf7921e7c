"""A real server on loopback, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from imports import TOP

START = 120  # seconds to be ready, at most


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server(NamedTuple):
    url: str
    process: subprocess.Popen[str]
    log: IO[str]  # standard error: a file, since a pipe that nobody reads fills up and stops the server

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def ask(self, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        """GET, or with a body POST. A keyword content_type is the header Content-Type."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def ask_json(self, path: str, content: Any, **headers: str) -> Answer:
        return self.ask(path, json.dumps(content), content_type="application/json", **headers)


@contextmanager
def serve(
    *arguments: object,
    command: Sequence[object] = (sys.executable, "-m", "pipeline"),
    folder: Path = TOP,
    environment: Mapping[str, str] = os.environ,
    **more: str,
) -> Iterator[Server]:
    """In an environment and what is added to it. Ends with SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    whole = [*map(str, command), "serve", *map(str, arguments), "--port", str(port)]
    log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115, closed below
    process = subprocess.Popen(
        whole, cwd=folder, env={**environment, **more}, stdout=subprocess.PIPE, stderr=log, text=True
    )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert server.url in line, line + server.said()
        wait_for_port(port)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        log.close()


def wait_for_port(port: int) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")
