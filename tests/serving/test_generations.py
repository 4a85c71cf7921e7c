"""Text from a served language model: seeds, streams, ends, and clients that leave."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from server import Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


def written(server: Server, seed: int, **changes: object) -> str:
    asked = {"model": "writer", "prompt": "a", "max_tokens": 40, "seed": seed} | changes
    return server.ask_json("/generate", asked).json["text"]


def test_a_seed_gives_the_same_text_whatever_runs_beside_it(server):
    alone = [written(server, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: written(server, seed), range(8))) == alone
    assert len(set(alone)) > 1


def test_a_stream_is_the_same_text(server):
    seed, whole = next((seed, text) for seed in range(20) if (text := written(server, seed)).strip())
    asked = {"model": "writer", "prompt": "a", "max_tokens": 40, "seed": seed, "stream": True}
    events = server.ask_json("/generate", asked).body.decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert "".join(json.loads(event.removeprefix("data: "))["text"] for event in events[:-1]) == whole
    events = server.ask_json("/v1/completions", asked).body.decode().strip().split("\n\n")
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events[:-1]]
    assert "".join(choice["text"] for choice in choices) == whole
    assert choices[-1]["finish_reason"] in ("stop", "length")
    stop = whole.strip()[0]
    assert written(server, seed, stop=stop) == whole.partition(stop)[0]


def test_a_completion_says_why_it_ends_and_what_it_counts(server):
    asked = {"model": "writer", "prompt": "ab", "max_tokens": 3, "user": "me"}
    answers = {seed: server.ask_json("/v1/completions", asked | {"seed": seed}).json for seed in range(20)}
    for answer in answers.values():
        ((choice,), counts) = answer["choices"], answer["usage"]
        assert (choice["finish_reason"] == "length") == (counts["completion_tokens"] == 3)
        assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"] > 0
    seed, choice = next((seed, a["choices"][0]) for seed, a in answers.items() if a["choices"][0]["text"])
    asked["seed"] = seed
    stopped = server.ask_json("/v1/completions", asked | {"stop": ["never to be written", choice["text"][0]]}).json
    assert stopped["choices"][0] == choice | {"text": "", "finish_reason": "stop"}
    refused = server.ask_json("/v1/completions", asked | {"stop": list("abcde")})
    assert (refused.status, refused.json["error"]) == (400, "stop: must be up to 4 texts, none of them empty")


def test_a_client_that_hangs_up(server):
    """In the middle of a stream: its row is free again."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"model": "writer", "prompt": "a", "max_tokens": 5_000, "stream": True}).encode()
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for _ in range(20):  # more than there are rows
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head % len(body) + body)
            client.recv(100)
    assert written(server, 1)
