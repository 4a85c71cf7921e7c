"""The key, the limits and the end of a server of its own."""

import signal
import threading
import time
from pathlib import Path

import pytest
from server import serve

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


def test_sigterm_answers_what_was_accepted(four_packages: list[Path]):
    texts = four_packages[1]
    statuses: list[int] = []
    with serve(texts) as server:
        many = {"inputs": ["a text of some words"] * 1_000}

        def ask() -> None:
            statuses.append(server.ask_json("/predict", many).status)

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for one in asking:
            one.start()
        while "requests_total" not in server.ask("/metrics").body.decode() and not statuses:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        for one in asking:
            one.join()
        log = server.process.communicate(timeout=60)[1]
    assert statuses == [200] * 8 or set(statuses) <= {200, 503}
    assert "Traceback" not in log


def test_a_package_that_cannot_be_served(tmp_path: Path):
    with pytest.raises(AssertionError, match="not a package"), serve(tmp_path):
        pass
