"""One decoder for all readers: Unicode with or without a mark, other encodings by name; lines; names in archives."""

import io
import struct
import zipfile
import zlib

import pytest
from sources import examples, fails, pack, read, write

from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import encodings, files, lines
from pipeline.runtime.reading.files import Entry

TEXTS = {
    "english": "Hello there, this is a text.\nA second line.\n",
    "chinese": "一个人在家里。\n今天天气一般。一二三一\n",
    "japanese": "これはペンです。\nはい\n",
    "russian": "привет мир как идти\nдля чего\n",
    "arabic": "مرحبا بالعالم\nنعم\n",
    "hindi": "नमस्ते दुनिया\n",
    "thai": "สวัสดีชาวโลก ครับ\n",
    "emoji": "😀 hi 😀\n",
    "tags": "EU B-ORG\nrejects O\n\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_unicode_of_any_width(text, codec):
    assert lines.decode(text.encode(codec)) == text
    entry = Entry("a", "a", lambda: io.BytesIO(text.encode(codec)))
    assert list(lines.lines(entry)) == text.splitlines(keepends=True)


@pytest.mark.parametrize("content", [b"a text with one \0 stray zero byte", b"\0\1\2", bytes(100), b"PK\3\4\0"])
def test_zero_bytes_alone_are_no_utf_16(content):
    assert encodings.of(content) == "utf-8"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_lines_are_whole_however_they_are_read(monkeypatch, size):
    monkeypatch.setattr(encodings, "HEAD", size)
    text = "\r\rž🐎 a\r\nb\n\n\r\r\nc\rd\r\r\r\ne"
    entry = Entry("a", "a", lambda: io.BytesIO(text.encode()))
    assert list(lines.lines(entry)) == ["\r", "\r", "ž🐎 a\r\n", "b\n", "\n", "\r\n", "c\r", "d\r", "\r\n", "e"]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"a\r\nb\rc\xe9c\n", None, r"is not UTF-8 \(line 3, byte 7 of the file\): save it as UTF-8, or set encoding"),
        ("a\nb".encode("utf-16")[:-1], None, r"is not UTF-16 \(line 2, byte 7 of the file\)"),
        (b"a\nb\x81\n", "latin1", r"is not CP1252 \(line 2, byte 4 of the file\): correct encoding"),
    ],
)
def test_where_a_text_is_in_another_encoding(content, encoding, message):
    with pytest.raises(UserError, match=message):
        list(lines.lines(Entry("a", "a", lambda: io.BytesIO(content)), encoding))


def test_a_line_without_end(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 100_000)
    with pytest.raises(UserError, match="a line 2: is longer than 100,000 characters"):
        list(lines.lines(Entry("a", "a", lambda: io.BytesIO(b"a\n" + b"x" * 200_000))))


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({"format": "text"}, "жизнь\n"),
        ({"format": "text", "part": 3}, "жизнь\n"),
        ({"format": "conll"}, "жизнь O\n"),
        ({"format": "slash-tagged"}, "жизнь/O\n"),
        ({"format": "table", "text": "т", "label": "л"}, "т,л\nжизнь,ж\n"),
        ({"format": "table", "text": "т", "label": "л"}, '{"т": "жизнь", "л": 1}\n'),
    ],
)
@pytest.mark.parametrize("codec", ["cp1251", "utf-16-le", "utf-8"])
def test_every_reader_takes_an_encoding(tmp_path, options, content, codec):
    name = "д.jsonl" if content.startswith("{") else "д.csv"
    write(tmp_path, {f"d/{name}": content.encode(codec)})
    (item,) = examples(tmp_path, **options, **({"encoding": "windows-1251"} if codec == "cp1251" else {}))
    assert str(item.content).strip("\n(',)") == "жизнь"


def test_an_encoding_without_bytes_beyond_ascii(tmp_path):
    write(tmp_path, {"a.csv": "text,label\n日本語,x\n".encode("iso2022_jp"), "b.csv": "text,label\na \x1b[1mb,x\n"})
    items = examples(tmp_path, format="table", text="text", label="label")
    assert [item.content for item in items] == ["日本語", "a \x1b[1mb"]


def test_an_encoding_that_nobody_knows(tmp_path):
    for name in ("hex", "utf-9", ""):
        with pytest.raises(ValueError, match="must be an encoding, such as utf-8, cp1252 or gb18030"):
            read(tmp_path, format="text", encoding=name)


@pytest.mark.parametrize(
    ("raw", "encoding", "name"),
    [
        ("é/1.txt".encode(), None, "é/1.txt"),  # as Macs write it
        ("é/1.txt".encode(), "gbk", "é/1.txt"),
        ("ü/1.txt".encode("cp437"), None, "ü/1.txt"),
        ("中/1.txt".encode("gb18030"), "gbk", "中/1.txt"),
    ],
)
def test_names_in_a_zip_that_does_not_say_their_encoding(tmp_path, raw, encoding, name):
    path = pack(tmp_path / "a.zip", {"x" * len(raw): "1"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    assert [file.name for file in files.walk(path, encoding=encoding)] == [name]
    more = zipfile.ZipInfo("x")
    more.extra = struct.pack("<HHBL", 0x7075, 5 + len(name.encode()), 1, zlib.crc32(b"x")) + name.encode()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(more, "1")
    assert [file.name for file in files.walk(tmp_path / "b.zip")] == [name]
    if name[0] == "ü":
        fails(path, "a name in it is not in utf8: correct encoding", format="text", encoding="utf8")
