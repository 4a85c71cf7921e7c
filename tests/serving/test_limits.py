"""The key, the limits and the end of a server of its own."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest
from imports import TOP
from server import Server, serve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


def test_a_key_small_bodies_and_little_time(four_packages: list[Path]):
    images = four_packages[0]
    content = (images / "sample" / "0.png").read_bytes()
    with serve(images, "--max-body", "1", "--timeout", "0.5", SERVE_API_KEY="secret") as server:
        kind = {"content_type": "image/png"}
        assert server.ask("/predict", content, **kind).status == 401
        assert server.ask("/predict", content, authorization="Bearer wrong", **kind).status == 401
        assert server.ask("/predict", content, authorization="Bearer secret", **kind).status == 200
        assert server.ask("/v2/health/live").status == 200
        assert server.ask("/").status == 200
        answer = server.ask("/predict", bytes(2 << 20), authorization="Bearer secret", **kind)
        assert (answer.status, answer.json["error"]) == (413, "the body is larger than 1,048,576 bytes")
        assert server.ask("/v2/repository/index", b"", authorization="Bearer secret").status == 404  # not enabled


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b"408"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"GET / HTTP/1.1\r\nHost: " + bytes([120]) * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, b"431"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow", b"504"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_slow_and_endless_requests_are_ended(impatient: Server, sent: bytes, status: bytes):
    with socket.create_connection(("127.0.0.1", int(impatient.url.rpartition(":")[2])), timeout=30) as client:
        with suppress(ConnectionError):  # it may be closed before all is sent
            client.sendall(sent)
        assert client.recv(100).split()[1] == status
    assert impatient.ask("/v2/health/live").status == 200


@pytest.fixture(scope="module")
def impatient(four_packages: list[Path]) -> Iterator[Server]:
    with serve(four_packages[0], "--timeout", "0.5") as server:
        yield server


def test_sigterm_answers_what_was_accepted(four_packages: list[Path]):
    answered: list[int] = []
    with serve(four_packages[1]) as server:
        many = {"inputs": ["a text of some words"] * 100}

        def ask() -> None:
            with suppress(URLError, ConnectionError):  # not accepted any more
                answered.append(server.ask_json("/predict", many).status)

        asking = [threading.Thread(target=ask) for _ in range(32)]
        for one in asking:
            one.start()
        while not (accepted := waiting(server)):
            assert any(one.is_alive() for one in asking), "the server answers faster than it can be asked"
        server.process.send_signal(signal.SIGTERM)
        for one in asking:
            one.join()
        server.process.wait(60)
        log = server.said()
    assert len(answered) >= accepted // 100
    assert set(answered) <= {200, 503}  # 503: the queue was full
    assert 200 in answered
    assert "Traceback" not in log
    assert log.endswith("stopped: what was accepted is answered\n")


def waiting(server: Server) -> int:
    """How many inputs are in the queue."""
    lines = server.ask("/metrics").body.decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("queue_inputs{"))


def test_a_package_that_cannot_be_served(tmp_path: Path):
    with pytest.raises(AssertionError, match="not a package"), serve(tmp_path):
        pass


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (("--port", "99999"), "127.0.0.1:99999: "),
        (("--host", "nowhere.invalid"), "nowhere.invalid:8000: "),
        (("--port",), "address already in use"),
    ],
)
def test_an_address_that_cannot_be_had(address, why):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = address if len(address) == 2 else (*address, str(taken.getsockname()[1]))
        command = [sys.executable, "-m", "pipeline", "serve", "package", *given]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.endswith(": name another --host or --port\n")
    assert done.stderr.count("\n") == 1
