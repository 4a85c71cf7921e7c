"""Mails and plain texts, a file each."""

import numpy as np
import pytest
from sources import examples, pack, read, refused, write

from pipeline.readers import Example, Refused

PLAIN = b"From: a@b.org\nSubject: =?iso-8859-1?q?Caf=E9?= and\n tea\n\nHello  you,\nwrite to me.too@some.host.org.\n"
HTML = b"""Subject: x
Content-Type: multipart/mixed; boundary=B

not this
--B
Content-Type: text/html; charset=nonsense
Content-Transfer-Encoding: quoted-printable

<style>p {}</style><p class=3D"a">caf=E9 &amp; <b>tea</b><script>1</script></p>
--B
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--B
Content-Type: text/plain

end
--B--
"""


def test_mail(tmp_path):
    contents: dict[str, bytes | str] = {"p/ham-1/1.txt": PLAIN, "p/spam/2.txt": HTML, "p/x/3": PLAIN, "4": PLAIN}
    path = pack(tmp_path / "a.tgz", contents | {"p/spam/5": "From: a@b.org\n\n\n"})
    assert read(path, format="mail", labels={"ham-1": "ham", "spam": "spam"}) == [
        Example(f"{path}: p/ham-1/1.txt", "Café and tea Hello you, write to address.", "ham"),
        Example(f"{path}: p/spam/2.txt", "x café & tea end", "spam"),
        Refused(f"{path}: p/x/3", "its folder is not in labels"),
        Refused(f"{path}: 4", "lies in no folder"),
        Refused(f"{path}: p/spam/5", "has no text"),
    ]
    assert [e.label for e in examples(path, format="mail", files="?.txt")] == ["ham-1", "spam"]


@pytest.mark.parametrize("good", [PLAIN, HTML])
def test_any_bytes_are_a_mail(tmp_path, good):
    random = np.random.default_rng(0)
    for number in range(200):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[random.integers(0, len(bad), 8)] = random.integers(0, 256, 8)
        write(tmp_path, {f"a/{number}": bad.tobytes()})
    for row in read(tmp_path, format="mail"):
        assert row.content.encode() if isinstance(row, Example) else row.reason == "has no text"  # type: ignore


def test_damaged_mails(tmp_path):
    for number, content in enumerate(
        [
            b"Subject: =?utf-8?b?abc?=\n\nx",
            b"Subject: =?nonsense?q?abc?=\n\nx",
            b"Subject: \xff\xfe\n\nx",
            b"Content-Type: multipart/mixed\n\nx",
            b"Content-Type: text/plain; charset=\xff\n\nx",
            b"Content-Type: text/plain; charset=hex\n\nx",
            b"Content-Type: text/plain; charset=utf-8\n\nx \xe9",
            b"Content-Transfer-Encoding: base64\n\nx",
        ]
    ):
        write(tmp_path, {f"a/{number}": content})
    assert all("x" in e.content for e in examples(tmp_path, format="mail"))  # type: ignore[operator]


def test_text(tmp_path):
    write(tmp_path, {"a/1.txt": "one\n", "a/b/2.txt": "two".encode("utf-16"), "3.txt": "three".encode("utf-8-sig")})
    assert [(e.content, e.label, e.group) for e in examples(tmp_path, format="text")] == [
        ("three", "", "3.txt"),
        ("one\n", "a", "a/1.txt"),
        ("two", "b", "a/b/2.txt"),
    ]
    write(tmp_path, {"a/1.txt": b"\xe9", "a/b/2.txt": " \n"})
    assert refused(tmp_path, format="text", files="a/*") == {"is not UTF-8": "a/1.txt", "is empty": "a/b/2.txt"}


def test_a_text_in_parts(tmp_path):
    """Each part ends with a line, none is shorter than it should be, and together they are the file."""
    text = "".join(f"line {i}\n" for i in range(100)) + "the end"
    (tmp_path / "a").mkdir()
    (tmp_path / "a/book.txt").write_text(text)
    items = examples(tmp_path, format="text", part=60)
    assert "".join(str(e.content) for e in items) == text
    assert all(len(e.content) >= 60 and str(e.content).endswith("\n") for e in items[:-1])
    assert {(e.label, e.group) for e in items} == {("a", None)}
    (tmp_path / "splits.csv").write_text("pattern,split\nbook.txt,test\n")
    assert {e.split for e in examples(tmp_path, format="text", part=60)} == {"test"}
    (tmp_path / "a/book.txt").write_text("")
    assert refused(tmp_path, format="text", part=60) == {"is empty": "a/book.txt"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one line", {"line 1": "one line"}),  # as long as a part
        ("a line\n\n\n\n\n\n\n\n\n\n\n", {"line 1": "a line\n\n"}),
        ("to be or not to be\nthat", {"line 1": "to be or ", "line 1, character 10": "not to be\n", "line 2": "that"}),
        ("一" * 20, {"line 1": "一" * 8, "line 1, character 9": "一" * 12}),
        ("abcdefgh\u0301" * 2, {"line 1": "abcdefgh\u0301", "line 1, character 10": "abcdefgh\u0301"}),
        ("\r\n".join(["abcdefgh"] * 2), {"line 1": "abcdefgh\r\n", "line 2": "abcdefgh"}),
        ("\r".join(["abcdefgh"] * 2), {"line 1": "abcdefgh\r", "line 2": "abcdefgh"}),
    ],
)
def test_parts_of_long_lines(tmp_path, text, parts):
    write(tmp_path, {"a.txt": text})
    found = {item.where.partition("a.txt ")[2]: item.content for item in examples(tmp_path, format="text", part=8)}
    assert found == parts
