"""Requests a second of the server, from raw PNG files over loopback, and the time of each: by one connection and by 32.

    python -m benchmarks.serving.server [--package package] [--rounds 3] [--servers .venv-servers]

With --servers, LitServe and MLServer serve the same ONNX model from the same files, in turn with this server, each at
the better of its settings with and without batches. The environment: `python -m venv .venv-servers` and
`.venv-servers/bin/pip install -r benchmarks/serving/peers/requirements.txt`. The client shares the machine's cores.
"""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.alone import run
from benchmarks.row import Options, OtherWork, Row, Turn, of_rounds
from benchmarks.serving.load import Connection, load, post, until_answered
from benchmarks.stages import clone

PORT = 8765
CONNECTIONS = (1, 32)
PEERS = Path(__file__).parent.resolve() / "peers"
LARGEST = 64  # batch of the peers
SECONDS = 5.0  # that each load lasts


class Server(NamedTuple):
    command: list[str]
    request: bytes
    port: int
    folder: Path
    last_to_warm: bytes | None = None  # a request that is answered when nothing is left to be loaded or compiled


def own(package: Path, png: bytes) -> Server:
    command = [sys.executable, "-m", "pipeline", "serve", str(package), "--port", str(PORT)]
    explain = post("/explain", "image/png", png)
    return Server(command, post("/predict", "image/png", png), PORT, Path(), explain)


def litserve(python: Path, package: Path, png: bytes, batch: int) -> Server:
    command = [str(python), str(PEERS / "litserve_server.py"), str(package), str(PORT), str(batch)]
    body = json.dumps({"image": base64.b64encode(png).decode()}).encode()
    return Server(command, post("/predict", "application/json", body), PORT, PEERS)


def mlserver(python: Path, package: Path, png: bytes, batch: int, folder: Path) -> Server:
    """Writes the settings that it reads from a folder."""
    folder.mkdir()
    ports = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "metrics_endpoint": None, **ports}
    batches = {"max_batch_size": batch, "max_batch_time": 0.001} if batch > 1 else {}
    model = {"name": "model", "implementation": "mlserver_runtime.Runtime", "parameters": {"uri": str(package)}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model | batches))
    tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(png).decode()]}
    request = post("/v2/models/model/infer", "application/json", json.dumps({"inputs": [tensor]}).encode())
    return Server([str(python.with_name("mlserver")), "start", str(folder)], request, PORT, PEERS)


def wait_until_free(port: int, patience: float = 10) -> None:
    """The last server's workers may still be ending. Raises OSError where another server keeps the port: it would be
    the one that is measured.
    """
    end = time.perf_counter() + patience
    while True:
        try:
            return socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            if time.perf_counter() > end:
                raise OSError(f"port {port} is taken by another server") from error
            time.sleep(0.1)


@contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """In a process group of its own: peers start workers that outlive them."""
    wait_until_free(server.port)
    environment = os.environ | {"PYTHONPATH": str(server.folder.resolve())}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(server.command, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def resident(process: subprocess.Popen[bytes]) -> float:
    """Megabytes of a process and its children. What they share, such as libraries, counts once."""
    parent = psutil.Process(process.pid)
    return sum(one.memory_full_info().pss for one in (parent, *parent.children(recursive=True))) / 1e6


def measure(name: str, server: Server, seconds: float) -> dict[int, Turn]:
    """Requests a second by the number of connections, and the probability of the answer's label."""
    with running(server) as process:
        ready = asyncio.run(until_answered(server.port, server.request))
        if server.last_to_warm:
            asyncio.run(until_answered(server.port, server.last_to_warm))
        surest = max(floats(json.loads(asyncio.run(ask(server)))))
        asyncio.run(load(server.port, server.request, max(CONNECTIONS), seconds / 5))
        found = {count: asyncio.run(load(server.port, server.request, count, seconds)) for count in CONNECTIONS}
        print(f"  {name}: answers after {ready:.2f} s, {resident(process):,.0f} MB")
    for count, answers in found.items():
        print(f"    {count:2} connections: {answers}", flush=True)
        if answers.statuses.keys() != {200}:
            raise OtherWork(f"{name} did not answer every request: statuses {dict(answers.statuses)}")
    return {count: Turn(answers.rate, {"probability": surest}) for count, answers in found.items()}


async def ask(server: Server) -> bytes:
    connection = await Connection.open(server.port)
    status, body = await connection.ask(server.request)
    connection.close()
    if status != 200:
        raise OtherWork(f"a request was answered with {status}")
    return body


def floats(answer: Any) -> Iterator[float]:
    """Those of an answer, at any depth."""
    if isinstance(answer, float):
        yield answer
    for inside in answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ():
        yield from floats(inside)


def rows(options: Options) -> Iterator[Row]:
    package = clone.package(options)
    png = next((package / "sample").glob("*.png")).read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        servers = {"": own(package, png)}
        if python := options.servers:
            for batch in (1, LARGEST):
                folder = Path(temporary) / str(batch)
                servers[f"LitServe, batches of {batch}"] = litserve(python, package, png, batch)
                servers[f"MLServer, batches of {batch}"] = mlserver(python, package, png, batch, folder)
        seconds = 0.5 if options.quick else SECONDS
        rounds = [
            {name: measure(name or "this server", server, seconds) for name, server in servers.items()}
            for _ in range(options.rounds)
        ]
    for count in CONNECTIONS:
        turns = [{name: found[count] for name, found in one.items()} for one in rounds]
        what = f"server, one image a request, {count} connection{'s' if count > 1 else ''}"
        for peer in ("LitServe", "MLServer") if options.servers else ("",):
            settings = [name for name in servers if peer and name.startswith(peer)]
            some = [{name: turn for name, turn in one.items() if name in ("", *settings)} for one in turns]
            yield of_rounds(what, "requests/s", some, settings, within={"probability": 1e-3})


if __name__ == "__main__":
    run(rows, __doc__)
