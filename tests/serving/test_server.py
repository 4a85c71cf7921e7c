"""A server of four packages, one for each kind of input, asked over loopback."""

import base64
import csv
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from server import Server

from pipeline.runtime import strict_json
from pipeline.runtime.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


def samples(folder: Path) -> list[dict]:
    return strict_json.read(folder / "sample" / "expected.json")["samples"]


def approximately(answer: dict, expected: dict) -> bool:
    """Whether all that is expected is there, numbers to 1e-4."""
    return all(
        answer[key] == pytest.approx(value, abs=1e-4) if isinstance(value, float | dict) else True
        for key, value in expected.items()
    ) and answer.get("label") == expected.get("label")


def test_raw_inputs_are_answered_as_the_package_says(server, four_packages):
    images, texts, tags, _ = four_packages
    for sample in samples(images):
        content = (images / "sample" / sample["file"]).read_bytes()
        assert approximately(
            server.ask("/predict?model=images", content, content_type="image/png").json, sample["answer"]
        )
    for sample in samples(texts):
        answer = server.ask("/predict?model=texts", sample["text"], content_type="text/plain").json
        assert approximately(answer, sample["answer"])
    for sample in samples(tags):
        answer = server.ask("/predict?model=tags", " ".join(sample["words"]), content_type="text/plain").json
        assert answer["labels"] == sample["answer"]["labels"]


def test_a_table_comes_back_with_answers(server):
    table = 'id;text;label\n7;"a text; with more";x\n8;;y\n'.encode("utf-8-sig")
    said = server.ask("/predict?model=texts", table, content_type="text/csv")
    rows = list(csv.DictReader(io.StringIO(said.body.decode())))
    assert [row["id"] for row in rows] == ["7", "8"]
    assert rows[0]["text"] == "a text; with more"
    assert rows[0]["label"] == "x"
    assert 0 <= float(rows[0]["probability"]) <= 1
    assert rows[0]["predicted label"]
    assert not rows[1]["predicted label"]
    missing = server.ask("/predict?model=texts&column=none", table, content_type="text/csv")
    assert (missing.status, "none" in missing.json["error"]) == (400, True)


def test_several_at_once(server, four_packages):
    """One that cannot be read does not spoil the others."""
    files = [(four_packages[0] / "sample" / sample["file"]).read_bytes() for sample in samples(four_packages[0])]
    listed = [base64.b64encode(content).decode() for content in (files[0], b"no image", files[1])]
    answers = server.ask_json("/predict?model=images", {"inputs": listed}).json["answers"]
    assert ["error" in answer for answer in answers] == [False, True, False]
    assert answers[1]["error"] == "input 2: is not a readable PNG, JPEG or WebP image"
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="inputs"; filename="%d.png"\r\n\r\n%s\r\n' % (i, content)
        for i, content in enumerate(files)
    )
    form = server.ask("/predict", parts + b"--x--\r\n", content_type="multipart/form-data; boundary=x").json["answers"]
    assert form[:2] == [answers[0], answers[2]]


def test_tensors_by_tritons_client(server, four_packages):
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("images")
    described = client.get_model_metadata("images")
    assert [one["datatype"] for one in described["inputs"]] == ["UINT8"]
    folder = four_packages[0]
    predictor = Predictor(folder)
    arrays = [predictor.encode((folder / "sample" / s["file"]).read_bytes(), "x") for s in samples(folder)]
    expected = np.stack(predictor.outputs(arrays))
    name = described["outputs"][0]["name"]
    for binary in (True, False):
        given = triton.InferInput("images", [len(arrays), *arrays[0][0].shape], "UINT8")
        given.set_data_from_numpy(np.stack([one[0] for one in arrays]), binary_data=binary)
        asked = triton.InferRequestedOutput(name, binary_data=binary)
        answer = client.infer("images", [given], outputs=[asked], request_id="7")
        np.testing.assert_allclose(np.asarray(answer.as_numpy(name)), expected, atol=1e-6)
        assert answer.get_response()["id"] == "7"
    raw = triton.InferInput("text", [1], "BYTES")
    raw.set_data_from_numpy(np.array(["a text"], object))
    assert len(np.asarray(client.infer("texts", [raw]).as_numpy("probabilities"))) == 1
    raw = triton.InferInput("words", [2, 3], "BYTES")
    raw.set_data_from_numpy(np.array([["a", "b", "c"], ["d", "", ""]], object))
    rows = np.asarray(client.infer("tags", [raw]).as_numpy("probabilities"))
    assert rows.shape[:2] == (2, 3)
    assert rows[1, 0].sum() == pytest.approx(1)
    assert not rows[1, 1:].any()
    version = described["versions"][0]
    assert client.is_model_ready("images", version)
    with pytest.raises(triton.InferenceServerException, match="has no version 'other'"):
        client.infer("images", [given], model_version="other")


def bomb() -> bytes:
    """A small file with a picture of 400 million pixels."""
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


def tensor(**changes: object) -> dict:
    return {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [0] * 784} | changes]}


JSON, PNG, TEXT = "application/json", "image/png", "text/plain"
INFER = "/v2/models/images/infer"


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "said"),
    [
        ("/predict", bomb(), PNG, 400, "pixels"),
        ("/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n", PNG, 400, "not a readable PNG, JPEG or WebP"),
        ("/predict", b"<svg xmlns='http://www.w3.org/2000/svg'/>", PNG, 400, "not a readable PNG, JPEG or WebP"),
        ("/predict", b"GIF89a" + bytes(40), PNG, 400, "not a readable PNG, JPEG or WebP"),
        ("/predict", b"", PNG, 400, "the input"),
        ("/predict", b"a text", TEXT, 415, "images takes an image's type"),
        ("/predict", b"x", "video/mp4", 415, "video/mp4"),
        ("/predict?model=texts", b"\xff\xfe\xfa", TEXT, 400, "is not UTF-8"),
        ("/predict?model=texts", b" \n ", TEXT, 400, "has no text"),
        ("/predict?model=texts", json.dumps({"inputs": ["\ud800"]}).encode(), JSON, 200, "not valid text"),
        ("/predict?model=texts", b'{"inputs": []}', JSON, 400, "inputs: is empty"),
        ("/predict?model=texts", b'{"inputs": [1]}', JSON, 400, "of texts"),
        ("/predict?model=texts", b"[" * 100_000, JSON, 400, "nested too deeply"),
        ("/predict?model=texts", b'{"inputs": ["a"], "x": NaN}', JSON, 400, "NaN is not a number"),
        ("/predict?model=texts", b'{"inputs": ["a"], "x": 1e999}', JSON, 400, "1e999 is too large"),
        ("/predict?model=images", b'{"inputs": ["!"]}', JSON, 400, "base64"),
        ("/predict?model=none", b"x", PNG, 404, "no model 'none': there are images, texts, tags, writer"),
        ("/predict?model=writer", b"x", TEXT, 400, "is a language model"),
        (INFER, b"{}", JSON, 400, "a list `inputs`"),
        (INFER, json.dumps(tensor(shape=[1, 9, 9, 1])).encode(), JSON, 400, "784 values, its shape 81"),
        (INFER, json.dumps(tensor(shape=[1, 784])).encode(), JSON, 400, "its shape must be [-1, "),
        (INFER, json.dumps(tensor(shape=[1 << 40])).encode(), JSON, 400, "shape must be a list of sizes"),
        (INFER, json.dumps(tensor(data=[256] * 784)).encode(), JSON, 400, "UINT8 must be from 0 to 255"),
        (INFER, json.dumps(tensor(data=[0.5] * 784)).encode(), JSON, 400, "UINT8 must be integers"),
        (INFER, json.dumps(tensor(datatype="FP64")).encode(), JSON, 400, "datatype must be one of"),
        (INFER, json.dumps(tensor(name="x")).encode(), JSON, 400, "must be images, in this order, or image"),
        (
            "/v2/models/texts/infer",
            b'{"inputs": [{"name": "tokens", "datatype": "INT32", "shape": [1, 2], "data": [99999999, -5]}]}',
            JSON,
            400,
            "tokens",
        ),
        ("/generate", b'{"prompt": "a"}', JSON, 400, "images is no language model"),
        ("/generate", b'{"model": "writer", "prompt": ""}', JSON, 400, "prompt"),
        ("/generate", b'{"model": "writer", "prompt": "a", "temperature": -1}', JSON, 400, "temperature"),
        ("/generate", b'{"model": "writer", "prompt": "a", "temprature": 1}', JSON, 400, "temprature"),
        ("/v1/completions", b'{"model": "writer", "prompt": "a", "n": 2}', JSON, 400, "n: must be 1"),
        ("/nowhere", b"x", TEXT, 404, "Not Found"),
        ("/v2/models/images", b"x", TEXT, 405, "Method Not Allowed"),
    ],
)
def test_a_bad_request_gets_one_line(server, path, body, kind, status, said):
    answer = server.ask(path, body, content_type=kind)
    error = answer.json["error"] if status != 200 else answer.json["answers"][0]["error"]
    assert answer.status == status, error
    assert said in error
    assert "\n" not in error
    assert "Traceback" not in error


def test_a_body_that_is_too_large(server):
    """Refused by its header before it comes, and without one as it streams."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 209715200\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    block = b"x" * (1 << 20)

    def blocks() -> Iterator[bytes]:
        for _ in range(200):
            yield block

    hang_up = suppress(BrokenPipeError, ConnectionResetError)  # as it may at 32 MiB
    with closing(http.client.HTTPConnection(host, int(port))) as connection, hang_up:
        connection.request("POST", "/predict", blocks(), {"Content-Type": PNG}, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert server.ask("/v2/health/ready").status == 200


def test_metrics_and_request_ids(server):
    answer = server.ask("/v2/models/images", X_Request_ID="mine-7")
    assert answer.headers["x-request-id"] == "mine-7"
    before = count(server)
    server.ask("/predict?model=texts", "a text", content_type=TEXT)
    assert count(server) == before + 1
    assert server.ask("/openapi.json").json["paths"]["/predict"]


def count(server: Server) -> float:
    text = server.ask("/metrics").body.decode()
    rows = [line for line in text.splitlines() if line.startswith('requests_total{route="/predict",status="200"}')]
    return float(rows[0].split()[-1]) if rows else 0.0


def test_a_swap_loses_no_request(server, four_packages):
    content = (four_packages[0] / "sample" / "0.png").read_bytes()
    statuses: list[int] = []
    ended = threading.Event()

    def ask_on() -> None:
        while not ended.is_set():
            statuses.append(server.ask("/predict", content, content_type=PNG).status)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask_on) for _ in range(4)]
        loads = [server.ask("/v2/repository/models/images/load", b"").status for _ in range(3)]
        ended.set()
        for one in asking:
            one.result()
    assert loads == [200] * 3
    assert set(statuses) == {200}
    assert server.ask("/v2/repository/models/images/unload", b"").status == 200
    assert server.ask("/predict", content, content_type=PNG).status == 503
    assert server.ask("/v2/health/ready").status == 503
    assert server.ask("/v2/repository/models/images/load", b"").status == 200
    assert server.ask("/v2/health/ready").status == 200
