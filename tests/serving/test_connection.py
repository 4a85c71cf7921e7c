"""A request is answered alike, however it comes over the wire; and the server outlives the process of its model."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from imports import TOP
from server import Server, serve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]
ANSWER = b'"probabilities":'


def post(body: bytes, *lines: bytes, version: bytes = b"1.1") -> bytes:
    head = b"POST /predict?model=images HTTP/%b\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n"
    return head % (version, len(body)) + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def send(server: Server, *parts: bytes, pause: float, answers: int = 1) -> bytes:
    """What comes back for parts that are sent one after the other, until there are so many answers or it ends."""
    came = b""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        while came.count(ANSWER) < answers and (more := client.recv(1 << 16)):
            came += more
    return came


def body(came: bytes) -> dict[str, Any]:
    return json.loads(came.partition(b"\r\n\r\n")[2])


def test_it_is_answered_alike_in_one_part_and_in_several(server, four_packages):
    content = (four_packages[0] / "sample" / "0.png").read_bytes()
    request = post(content)
    whole = body(send(server, request, pause=0))
    start = len(request) - len(content)
    for pause in (0.0, 0.005, 0.2):  # the last comes too late for the shortcut
        assert body(send(server, request[:start], request[start:], pause=pause)) == whole
        assert body(send(server, request[:30], request[30:-40], request[-40:], pause=pause)) == whole
    bad = [send(server, *parts, pause=0.1, answers=9) for parts in halves(post(b"no image", b"Connection: close"))]
    assert {came.split()[1] for came in bad} == {b"400"}
    assert body(bad[0]) == body(bad[1])


def halves(request: bytes) -> list[tuple[bytes, ...]]:
    return [(request,), (request[:-3], request[-3:])]


def test_pipelined_requests_are_answered_in_order(server, four_packages):
    files = [(four_packages[0] / "sample" / f"{i}.png").read_bytes() for i in range(2)]
    alone = [body(send(server, post(content), pause=0)) for content in files]
    came = send(server, post(files[0]) + post(files[1]) + post(files[0]), pause=0, answers=3)
    parts = came.split(b"HTTP/1.1 200 OK")[1:]
    assert [body(part) for part in parts] == [alone[0], alone[1], alone[0]]


@pytest.mark.parametrize(("version", "line"), [(b"1.1", b"Connection: close"), (b"1.0", b"X: y")])
def test_a_connection_is_closed_where_the_client_asks_for_it(server, four_packages, version, line):
    content = (four_packages[0] / "sample" / "0.png").read_bytes()
    came = send(server, post(content, line, version=version), pause=0, answers=2)  # until its end
    assert b"connection: close" in came
    assert ANSWER in came


def test_ctrl_c_while_it_starts(four_packages: list[Path]):
    """In the event loop, which would swallow most exceptions of a signal's handler."""
    command = [sys.executable, "-m", "pipeline", "serve", str(four_packages[0]), "--port", "0"]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        while started.poll() is None and not psutil.Process(started.pid).children():  # the model's process
            time.sleep(0.005)
        started.send_signal(signal.SIGINT)
        assert started.communicate(timeout=30)[0].endswith("stopped: what was accepted is answered\n")
    assert started.returncode == 130


def test_a_model_whose_process_is_killed_is_started_anew(four_packages: list[Path]):
    content = (four_packages[0] / "sample" / "0.png").read_bytes()
    with serve(f"images={four_packages[0]}") as server:
        before = body(send(server, post(content), pause=0))
        for number in (signal.SIGINT, signal.SIGTERM):  # as a terminal and a service manager send them to all
            for child in psutil.Process(server.process.pid).children():
                child.send_signal(number)
            assert body(send(server, post(content), pause=0)) == before
        # Explanations are warm then: what warms them would notice the end, and start the model before it is asked.
        assert server.ask("/explain", content, content_type="image/png").status == 200
        for child in psutil.Process(server.process.pid).children():
            child.send_signal(signal.SIGKILL)
        lost = server.ask("/predict", content, content_type="image/png")
        assert (lost.status, lost.headers.get("retry-after")) == (503, "1")
        assert body(send(server, post(content), pause=0)) == before
        assert server.ask("/explain", content, content_type="image/png").status == 200
        assert '"event":"model ended"' in server.said()


def test_no_process_outlives_the_server(four_packages: list[Path]):
    with serve(four_packages[0]) as server:
        children = psutil.Process(server.process.pid).children()
        assert children
        server.process.kill()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
