"""What `/explain` answers, for each kind of input."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.runtime import strict_json

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]

PNG = "image/png"


def samples(folder: Path) -> list[dict]:
    return strict_json.read(folder / "sample" / "expected.json")["samples"]


def test_explanations(server, four_packages):
    images, texts, tags, _ = four_packages
    content = (images / "sample" / "0.png").read_bytes()
    picture = server.ask("/explain", content, content_type=PNG, accept=PNG)
    assert picture.headers["content-type"] == PNG
    assert Image.open(io.BytesIO(picture.body)).width > 400
    said = server.ask("/explain?model=images", content, content_type=PNG).json
    assert base64.b64decode(said["picture"]) == picture.body
    text = samples(texts)[0]["text"]
    said = server.ask("/explain?model=texts", text, content_type="text/plain").json
    (one,) = said["explanations"]
    assert one["of"] == said["label"]
    assert "".join(part["text"] for part in one["parts"]).startswith("a text")  # the model reads no more of it
    words = samples(tags)[0]["words"]
    said = server.ask("/explain?model=tags", " ".join(words), content_type="text/plain").json
    assert [one["word"] for one in said["explanations"]] == list(range(len(words)))
    assert [one["of"] for one in said["explanations"]] == said["labels"]
    one = server.ask("/explain?model=tags&word=1", " ".join(words), content_type="text/plain").json
    assert one["explanations"] == said["explanations"][1:2]
    far = server.ask("/explain?model=tags&word=99", "a b", content_type="text/plain")
    assert (far.status, far.json["error"]) == (400, "word: must be from 0 to 1")
    said = server.ask("/explain?model=writer", "a text", content_type="text/plain").json
    assert "".join(part["text"] for part in said["explanations"][0]["parts"]) == "a text"
    assert server.ask_json("/explain?model=writer", {"inputs": ["a text"]}).json == said
    assert server.ask("/explain?model=writer", "", content_type="text/plain").status == 400
    assert server.ask_json("/explain?model=writer", {"inputs": []}).status == 400
