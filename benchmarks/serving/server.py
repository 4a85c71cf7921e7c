"""Requests a second of the server, from raw PNG files over loopback, and the time of each: by one connection and by 32.

    python -m benchmarks.serving.server [--package package] [--seconds 5] [--rounds 3] [--peers .venv-peers/bin/python]

With --peers, LitServe and MLServer serve the same ONNX model from the same files, in turn with this server, each at the
better of its settings with and without batches. Its environment: `python -m venv .venv-peers` and `.venv-peers/bin/pip
install -r benchmarks/serving/peers/requirements.txt`. The client shares the machine's cores with them.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.serving.load import Answers, load, post, until_answered

PORT = 8765
CONNECTIONS = (1, 32)
PEERS = Path(__file__).parent.resolve() / "peers"
LARGEST = 64  # batch of the peers


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


@contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """In a process group of its own: peers start workers that outlive them."""
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


def measure(name: str, server: Server, seconds: float) -> dict[int, Answers]:
    with running(server) as process:
        ready = asyncio.run(until_answered(server.port, server.request))
        if server.last_to_warm:
            asyncio.run(until_answered(server.port, server.last_to_warm))
        asyncio.run(load(server.port, server.request, max(CONNECTIONS), 1.0))
        found = {count: asyncio.run(load(server.port, server.request, count, seconds)) for count in CONNECTIONS}
        print(f"{name}: answers after {ready:.2f} s, {resident(process):,.0f} MB")
    for count, answers in found.items():
        failed = "" if answers.statuses.keys() == {200} else f"; statuses {dict(answers.statuses)}"
        print(f"  {count:2} connections: {answers}{failed}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.server", description=__doc__)
    parser.add_argument("--package", type=Path, default=Path("package"), help="folder of a package of images")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--peers", type=Path, help="the python of an environment with LitServe and MLServer")
    arguments = parser.parse_args()
    package = arguments.package.resolve()
    png = next((package / "sample").glob("*.png")).read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        servers = {"this server": own(package, png)}
        if arguments.peers:
            python = arguments.peers.absolute()
            for batch in (1, LARGEST):
                servers[f"LitServe, batch {batch}"] = litserve(python, package, png, batch)
                folder = Path(temporary) / str(batch)
                servers[f"MLServer, batch {batch}"] = mlserver(python, package, png, batch, folder)
        rounds = [
            {name: measure(name, server, arguments.seconds) for name, server in servers.items()}
            for _ in range(arguments.rounds)
        ]
    for count in CONNECTIONS if arguments.peers else ():
        ratios = []
        for found in rounds:
            mine, *theirs = (answers[count].rate for answers in found.values())
            ratios.append(mine / max(theirs))
        print(
            f"{count} connections: {statistics.median(ratios):.1f} times the best peer's requests a second "
            f"({min(ratios):.1f} to {max(ratios):.1f} in {len(ratios)} rounds)"
        )


if __name__ == "__main__":
    main()
