"""Serves packages over HTTP.

python -m runtime serve .
"""

import argparse
import asyncio
import gc
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..engines import NAMES
from ..errors import Stopped, UserError

if TYPE_CHECKING:
    from ..serving.http.guard import Limits
    from ..serving.models.repository import Repository

KEY = "SERVE_API_KEY"  # the environment variable with the key that clients must send
DRAIN = 30  # seconds that accepted requests have to end after SIGTERM


def main() -> int:
    arguments = parse()

    # What follows loads slowly: --help and a mistake on the command line should not wait for it.
    from uvicorn.loops.auto import auto_loop_factory

    from ..serving.http.guard import Limits
    from ..serving.models.repository import Repository

    folders: dict[str, Path] = {}
    for given in arguments.packages:
        name, has_name, path = given.rpartition("=")
        folder = Path(path)
        name = name if has_name else folder.resolve().name
        if name in folders:
            raise UserError(f"{given}: two models are called {name}: name one of them NAME=FOLDER")
        folders[name] = folder
    repository = Repository(folders, engine=arguments.engine, room=arguments.queue, require_key=arguments.require_key)
    limits = Limits(arguments.max_body << 20, arguments.timeout, os.environ.get(KEY) or None)
    address = bind(arguments.host, arguments.port)  # early: a model may take long to load
    try:
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(serve(repository, limits, address, may_load=arguments.allow_load))
    except Stopped as stop:
        raise Stopped(stop.code - 128, "stopped: what was accepted is answered") from None
    return 0


def bind(host: str, port: int) -> socket.socket:
    """A socket that has the address but does not listen yet. Raises UserError."""
    if not 0 <= port <= 65_535:  # getaddrinfo would take the rest of a division
        raise UserError(f"{host}:{port}: a port is from 0 to 65535: name another --host or --port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"{host}:{port}: {why}: name another --host or --port") from error
    return found


async def serve(repository: "Repository", limits: "Limits", address: socket.socket, *, may_load: bool) -> None:
    """Until a signal. Raises UserError where a model cannot be loaded."""
    import uvicorn

    from ..serving import app
    from ..serving.http.connection import connection

    for name in repository.folders:
        await repository.start(name)
    application, shortcut = app.create(repository, limits, may_load=may_load)
    config = uvicorn.Config(
        application,
        http=connection(limits.seconds, shortcut),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
    )
    host, port = address.getsockname()[:2]
    models = ", ".join(f"{name} (by {repository.get(name).engine})" for name in repository.folders)
    print(f"http://{host}:{port}: {models}; Ctrl-C ends it", flush=True)
    gc.freeze()  # what is loaded stays: it need not be searched for garbage
    await uvicorn.Server(config).serve([address])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=sys.argv[0], description="Serves packages over HTTP.", epilog=f"{KEY}: the API key, if any"
    )
    parser.add_argument("packages", nargs="+", metavar="package", help="folder of a package, or NAME=FOLDER")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    parser.add_argument("--engine", choices=NAMES, default="auto", help="what runs the models (default: auto)")
    parser.add_argument("--queue", type=int, default=1_024, help="inputs that may wait for a model (default: 1024)")
    parser.add_argument("--max-body", type=int, default=32, help="largest request in MiB (default: 32)")
    parser.add_argument("--timeout", type=float, default=30, help="seconds to an answer, at most (default: 30)")
    parser.add_argument(
        "--require-key",
        type=Path,
        metavar="PUB.PEM",
        help="packages must be signed by the owner of this public key",
    )
    parser.add_argument("--allow-load", action="store_true", help="let clients load a package anew, or unload it")
    return parser.parse_args()
