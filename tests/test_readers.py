"""Every reader, on good sources and on hostile ones: an example, a Refused that says why, or one line of UserError."""

import bz2
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from pipeline import images
from pipeline.errors import UserError
from pipeline.readers import Example, Reader, Refused, files, splits

ROOT = Path(__file__).parent.parent


def read(source: Path, **options: object) -> list[Example | Refused]:
    return list(TypeAdapter(Reader).validate_python(options).read(source))


def examples(source: Path, **options: object) -> list[Example]:
    """All of them; there must be no Refused."""
    found = read(source, **options)
    assert not [row for row in found if isinstance(row, Refused)]
    return [row for row in found if isinstance(row, Example)]


def refused(source: Path, **options: object) -> dict[str, str]:
    """Reason -> where, without the path of the source."""
    found = [row for row in read(source, **options) if isinstance(row, Refused)]
    assert all("\n" not in row.where + row.reason for row in found)
    return {row.reason: row.where.removeprefix(str(source)).lstrip("/ ") for row in found}


def fails(source: Path, message: str, **options: object) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(source, **options)
    assert str(caught.value).startswith(str(source))
    assert "\n" not in str(caught.value)


def write(folder: Path, contents: Mapping[str, bytes | str]) -> Path:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pack(path: Path, contents: Mapping[str, bytes | str]) -> Path:
    """An archive of the kind that its name says."""
    raw = {name: content.encode() if isinstance(content, str) else content for name, content in contents.items()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in raw.items():
                archive.writestr(name, content)
        return path
    form = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{form}") as archive:  # type: ignore[call-overload]
        for name, content in raw.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def picture(form: str = "PNG", seed: int = 0, **options: object) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that claims so many pixels."""
    content = bytearray(picture())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


# files


ARCHIVES = ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "A.ZIP"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_read_in_its_own_order_without_what_speaks_of_the_data(tmp_path, name):
    contents = {"./d/b": "1", "d/a.txt.gz": gzip.compress(b"2"), "README.md": "x", "d/LICENSE": "x", "d/.hidden": "x"}
    path = pack(tmp_path / name.lower(), contents | {"__MACOSX/d/b": "x"}).rename(tmp_path / name)
    for source in (path, tmp_path):
        assert list(files.walk(source)) == [("d/b", b"1", f"{path}: d/b"), ("d/a.txt", b"2", f"{path}: d/a.txt.gz")]
        assert files.count(source) is None


def test_a_folder_is_read_sorted(tmp_path):
    write(tmp_path, {"b/2": "x", "b/1.gz": gzip.compress(b"y"), "a": "z", "README-2": "", "splits.csv": "", ".x/a": ""})
    assert [(f.name, f.content) for f in files.walk(tmp_path)] == [("a", b"z"), ("b/1", b"y"), ("b/2", b"x")]
    assert files.count(tmp_path) == 3
    assert [f.name for f in files.walk(tmp_path, "b/*")] == ["b/1", "b/2"]
    assert [f.name for f in files.walk(tmp_path, "2")] == ["b/2"]
    with pytest.raises(UserError, match=r"holds no file whose name fits 'c\*'"):
        list(files.walk(tmp_path, "c*"))


def test_a_single_file(tmp_path):
    write(tmp_path, {"x.txt.gz": gzip.compress(b"y"), "y": "z"})
    assert list(files.walk(tmp_path / "x.txt.gz")) == [("x.txt", b"y", str(tmp_path / "x.txt.gz"))]
    assert list(files.walk(tmp_path / "y")) == [("y", b"z", str(tmp_path / "y"))]


def test_files_with_licence_like_names_are_data(tmp_path):
    write(tmp_path, {"license_plate.jpg": "", "READMEs.txt": "", "LICENSES/a": ""})
    assert files.count(tmp_path) == 3


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("member", ["../x", "d/../../x", "/etc/x", "C:/x", "C:\\x", "..\\x"])
def test_a_member_that_climbs_out_is_not_trusted(tmp_path, name, member):
    path = pack(tmp_path / name, {"good": "1", member: "2"})
    fails(path, r"a\.(zip|tar): .*x climbs out of the archive", name="text")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    member = tarfile.TarInfo("d/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.addfile(member)
    fails(tmp_path / "a.tgz", "d/link is a link or a device", name="text")


def test_links_in_a_zip(tmp_path):
    member = zipfile.ZipInfo("d/link")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    fails(tmp_path / "a.zip", "d/link is a link or a device", name="text")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.txt.gz"])
def test_an_archive_that_is_damaged_anywhere_is_refused_or_read_whole(tmp_path, name):
    """No other error, and no example lost without a word."""
    contents: dict[str, bytes | str] = {f"d/{n}": f"text {n}" for n in range(3)}
    path = tmp_path / name
    if name == "a.txt.gz":
        path.write_bytes(gzip.compress(b"text"))
    else:
        pack(path, contents)
    good, whole = path.read_bytes(), len(read(path, name="text"))
    # what follows the end of a tar is of no matter, and the directory at the end of a zip has no checksum
    end = {"a.tar": 4 * 1024, "a.zip": good.find(b"PK\1\2")}.get(name, len(good))
    random = np.random.default_rng(0)
    for at in random.choice(end, min(end, 300), replace=False):
        bad = bytearray(good)
        bad[at] ^= random.integers(1, 256)
        for content in (bytes(bad), good[:at]):
            path.write_bytes(content)
            try:
                assert len(read(path, name="text")) == whole
            except UserError as error:
                assert str(error).startswith(str(path))  # noqa: PT017
                assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.gz"])
def test_what_is_no_archive(tmp_path, name):
    write(tmp_path, {name: "hello, this is some text"})
    fails(tmp_path / name, "cannot be read .*; fetch it again", name="text")


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    write(tmp_path, {"a.gz": gzip.compress(bytes(10**7)), "b/a.tar.bz2": ""})
    (tmp_path / "b/a.tar.bz2").write_bytes(bz2.compress(pack(tmp_path / "b/a.tar", {"x": bytes(10**6)}).read_bytes()))
    for name, where in (("a.gz", "a.gz"), ("b/a.tar.bz2", "b/a.tar.bz2: x")):
        fails(tmp_path / name, f"{where}: is larger than 1,000 bytes when unpacked", name="text")


def test_missing_and_empty_sources(tmp_path):
    for options in ({"name": "text"}, {"name": "image-folder"}, {"name": "table", "text": "t", "label": "l"}):
        fails(tmp_path / "none", "none: no such file or folder", **options)
        fails(tmp_path, "holds no file", **options)


def test_broken_links_and_loops(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").symlink_to(tmp_path / "nowhere")
    fails(tmp_path, "a/b: is a broken link", name="text")
    (tmp_path / "a/b").unlink()
    (tmp_path / "a/b").symlink_to(tmp_path)
    fails(tmp_path, "a/b: links to a folder above it", name="text")


def test_a_name_that_is_no_text(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.txt")).write_bytes(b"x")
    fails(tmp_path, r"/\\udcff\.txt: a name with control characters, or not in UTF-8", name="text")


@pytest.mark.parametrize("locked", ["a.txt", "d", "."])
def test_no_permission(tmp_path, locked):
    """As a user that is not root, to whom nothing is forbidden."""
    source = write(tmp_path / "source", {"a.txt": "x", "d/b.txt": "y"})
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from pipeline.errors import UserError
from pipeline.readers import text
"".encode("utf-8-sig")  # Python itself may lie where only root can read
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    list(text.Reader(name="text").read(Path({str(source)!r})))
except UserError as error:
    print(error)
"""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    (source / locked).chmod(0)
    try:
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    finally:
        (source / locked).chmod(0o755)
    assert out == f"{source / locked}: no permission to read it; allow it with chmod -R u+rX\n"


@pytest.mark.slow
def test_memory_stays_flat_with_200_000_files(tmp_path):
    for number in range(200_000):
        (tmp_path / f"{number:06}.txt").write_bytes(b"x" * 10)
    tracemalloc.start()
    try:
        assert sum(len(file.content) for file in files.walk(tmp_path)) == 2_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6
    assert files.count(tmp_path) == 200_000


@pytest.mark.parametrize("name", ["a.tar", "a.tgz"])
def test_members_of_a_tar_do_not_pile_up(tmp_path, name):
    path = pack(tmp_path / name, {f"{number:05}": "x" for number in range(5_000)})
    tracemalloc.start()
    try:
        assert sum(1 for _ in files.walk(path)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


# splits.csv


def test_the_first_pattern_that_fits_tells_the_split(tmp_path):
    write(tmp_path, {"splits.csv": "pattern,split\na/*,train\r\n*.eml,test\nz*,shifted\n", "a/x.eml": "1", "b/y": "2"})
    split_of = splits.rules(tmp_path)
    assert [split_of(name) for name in ("a/x.eml", "b/x.eml", "b/z1", "y")] == ["train", "test", "shifted", None]
    assert [e.split for e in examples(tmp_path, name="text")] == ["train", None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its first line must be pattern,split"),
        ("a,b\n", "its first line must be pattern,split"),
        ("pattern,split\na,train\nb,dev\n", "row 3: must be a pattern, a comma and one of train, validation"),
        ("pattern,split\na\n", "row 2: must be"),
        (b"pattern,split\n\xff,train\n", "is not UTF-8"),
    ],
)
def test_wrong_splits(tmp_path, content, message):
    write(tmp_path, {"splits.csv": content, "a": "x"})
    for name in ("text", "mail", "conll", "slash-tagged", "image-folder"):
        fails(tmp_path, rf"splits\.csv.*{message}", name=name)


# image-folder


FLOWERS = {"rose/1.png": picture(), "rose/deep/2.JPG": picture("JPEG"), "tulip/3.webp": picture("WEBP")}


def test_a_class_for_each_folder(tmp_path):
    found = examples(write(tmp_path, FLOWERS), name="image-folder")
    assert [(e.label, e.split) for e in found] == [("rose", None), ("rose", None), ("tulip", None)]
    assert found[0] == Example(str(tmp_path / "rose/1.png"), FLOWERS["rose/1.png"], "rose")


@pytest.mark.parametrize("prefix", ["", "flowers/", "data/flowers/"])
def test_folders_of_splits_and_an_archive_in_one_folder(tmp_path, prefix):
    parts = {"train": "train", "valid": "validation", "Test": "test", "shifted": "shifted"}
    contents: dict[str, bytes | str] = {f"{prefix}{part}/{n}": c for part in parts for n, c in FLOWERS.items()}
    expected = [(label, split) for split in parts.values() for label in ("rose", "rose", "tulip")]
    for name in ("a.tgz", "a.zip"):
        found = examples(pack(tmp_path / name, contents), name="image-folder")
        assert [(e.label, e.split) for e in found] == expected
    if not prefix:
        write(tmp_path / "folder", contents)
        assert sorted((e.label, e.split) for e in examples(tmp_path / "folder", name="image-folder")) == sorted(
            expected
        )


def test_an_archive_of_classes_only(tmp_path):
    path = pack(tmp_path / "a.zip", {f"flowers/{name}": content for name, content in FLOWERS.items()})
    assert [e.label for e in examples(path, name="image-folder")] == ["rose", "rose", "tulip"]
    path = pack(tmp_path / "b.zip", {f"train/{name}": content for name, content in FLOWERS.items()})
    assert {e.split for e in examples(path, name="image-folder")} == {"train"}


def test_train_beside_a_class_is_a_class(tmp_path):
    write(tmp_path, {"train/1.png": picture(), "car/1.png": picture()})
    assert [(e.label, e.split) for e in examples(tmp_path, name="image-folder")] == [("car", None), ("train", None)]


@pytest.mark.parametrize("empty", ["violet", "violet/deep"])
def test_an_empty_class_folder(tmp_path, empty):
    (write(tmp_path, FLOWERS) / empty).mkdir(parents=True)
    fails(tmp_path, "/violet: holds no images: fill or remove it", name="image-folder")


def test_an_empty_split_or_class_of_a_split(tmp_path):
    (write(tmp_path / "train", FLOWERS).parent / "test").mkdir()
    fails(tmp_path, "/test: holds no images", name="image-folder")
    write(tmp_path, {"test/rose/1.png": picture(), "test/tulip/notes.txt": "x"})
    fails(tmp_path, "/test/tulip: holds no images", name="image-folder")


def test_pictures_that_cannot_be_used(tmp_path):
    write(tmp_path, FLOWERS)
    write(
        tmp_path,
        {
            "rose/empty.png": b"",
            "rose/cut.jpg": picture("JPEG")[:-600],
            "rose/huge.png": bomb(30_000, 30_000),
            "rose/notes.txt": "x",
            "top.png": picture(),
        },
    )
    assert refused(tmp_path, name="image-folder") == {
        "is empty": "rose/empty.png",
        "is not a readable PNG, JPEG, WEBP image": "rose/cut.jpg",
        "has too many pixels (limit 100,000,000)": "rose/huge.png",
        "not a PNG, JPEG or WebP file": "rose/notes.txt",
        "lies in no class folder": "top.png",
    }


def test_check_and_decode_agree():
    """Whatever bytes are damaged: what check lets pass, decode can read."""
    spec = images.ImageSpec(height=8, width=8, colour="rgb", resize="exact", margin=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    random = np.random.default_rng(0)
    for good in (picture(), picture("JPEG", exif=exif), picture("JPEG", progressive=True), picture("WEBP")):
        assert images.check(good) is None
        for _ in range(200):
            bad = np.frombuffer(good, np.uint8).copy()
            bad[random.integers(0, len(bad), 2)] = random.integers(0, 256, 2)
            if images.check(bad.tobytes()) is None:
                images.decode(bad.tobytes(), spec, "x")
    assert images.check(bomb(12_000, 10_000)) == "has too many pixels (limit 100,000,000)"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_cut_short_is_caught(form):
    good = picture(form)
    for length in range(0, len(good) - 20, 37):
        assert images.check(good[:length])


# table


TABLE = {"name": "table", "text": "text", "label": "label"}
CSV = 'text,label,part,who\n"good, ""very""",pos,train,a\n"two\nlines",neg,dev,\r\nplain,pos,,b\n'
ROWS = [
    ('good, "very"', "pos", "train", "a"),
    ("two\nlines", "neg", "validation", None),
    ("plain", "pos", None, "b"),
]


def columns(found: list[Example]) -> list[tuple[object, ...]]:
    return [(e.content, e.label, e.split, e.group) for e in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_csv_in_any_unicode(tmp_path, encoding):
    content = ("\ufeff" if encoding == "utf-16-be" else "") + CSV.replace("plain", "žluťoučký 🐎")
    write(tmp_path, {"a.csv": content.encode(encoding), "a.csv.gz": gzip.compress(content.encode(encoding))})
    for name in ("a.csv", "a.csv.gz"):
        found = examples(tmp_path / name, **TABLE, split="part", group="who")
        assert columns(found) == [*ROWS[:2], ("žluťoučký 🐎", "pos", None, "b")]
        assert [e.where for e in found] == [f"{tmp_path / name} row {n}" for n in (2, 3, 5)]


def test_a_folder_and_an_archive_of_tables(tmp_path):
    rows = [{"text": text, "label": label, "part": part, "who": who} for text, label, part, who in ROWS]
    contents: dict[str, bytes | str] = {
        "a.csv": CSV,
        "b.jsonl": "\n".join(json.dumps(row) for row in rows) + "\n\n",
        "c.tsv": 'text\tlabel\tpart\twho\n"quoted\tpos\ttest\tx\n',
        "e.md": "x",
    }
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    contents |= {"d.parquet": sink.getvalue(), "e.parquet.gz": gzip.compress(sink.getvalue())}
    write(tmp_path / "folder", contents)
    for source in (tmp_path / "folder", pack(tmp_path / "a.zip", contents), pack(tmp_path / "a.tgz", contents)):
        found = read(source, **TABLE, split="part", group="who")
        assert [row.reason for row in found if isinstance(row, Refused)] == [
            "not a table (.csv, .tsv, .jsonl, .ndjson, .parquet)"
        ]
        good = [row for row in found if isinstance(row, Example)]
        expected = sorted([*ROWS * 4, ('"quoted', "pos", "test", "x")], key=str)
        assert sorted(columns(good), key=str) == expected


def test_labels_that_are_no_text(tmp_path):
    table = pa.table({"text": ["a", "b", "c"], "label": [1.0, float("nan"), None], "n": [1, 2, None]})
    pq.write_table(table.append_column("b", pa.array([True, False, None])), tmp_path / "a.parquet")
    for label, expected in (("label", ["1.0"]), ("n", ["1", "2"]), ("b", ["True", "False"])):
        found = read(tmp_path / "a.parquet", name="table", text="text", label=label)
        assert [row.label for row in found if isinstance(row, Example)] == expected
        assert {row.reason for row in found if isinstance(row, Refused)} == {"its label is empty"}


def test_rows_that_are_no_example(tmp_path):
    rows = 'a,pos,train\na,pos\na,pos,train,x\n ,pos,train\na, ,train\na,pos,tset\na\0,pos,\n\'a"b,pos,\n\n"a"b,pos,\n'
    write(tmp_path, {"a.csv": "text,label,part\n" + rows})
    assert refused(tmp_path / "a.csv", **TABLE, split="part") == {
        "has fewer cells than the header": "row 3",
        "has more cells than the header": "row 4",
        "its text is empty": "row 5",
        "its label is empty": "row 6",
        "its split is none of train, validation, test, shifted": "row 7",
        "its text holds a NUL byte or half a character": "row 8",
        "its quotes are wrong": "row 11",
    }


def test_lines_of_json_that_are_no_example(tmp_path):
    lines = ['{"text": "a"}', '{"text": "a", "label"', "[1]", '{"text": ["a"], "label": 1}', "[" * 100_000]
    lines.append('{"text": "\\ud800", "label": 1}')
    write(tmp_path, {"a.jsonl": "\n".join(lines)})
    assert refused(tmp_path / "a.jsonl", **TABLE) == {
        "has no key label": "row 1",
        "is not JSON": "row 5",
        "is not a JSON object": "row 3",
        "its text is neither a text nor a number": "row 4",
        "its text holds a NUL byte or half a character": "row 6",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "txt,label\na,b\n", r"has no column text \(there: txt, label\)"),
        ("a.tsv", "text,label\na,b\n", r"has no column text \(there: text,label\)"),
        ("a.csv", "text,label,text\n", "has 2 columns text"),
        ("a.csv", "", "its first line must name the columns text, label"),
        ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', "row 3: a quote is opened here"),
        ("a.csv", 'text,label\na,b\n"c,d\n"e,f\n', "row 3: a quote is opened here"),
        ("a.csv", b"text,label\na,b\nc\xe9,d\n", "is not UTF-8 .line 3, byte 17 of the file.: save it as UTF-8"),
        ("a.csv", "text,label\na,b\n".encode("utf-16")[:-1], "is not UTF-16"),
        ("a.csv", "text,label\na,b\n".encode("utf-16-le"), "its first line holds NUL bytes: save it as UTF-8"),
        ("a.csv.gz", "text,label\na,b\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"text,label\na,b\n")[:-9], "cannot be read"),
        ("a.xlsx", "PK", "is no table: its name must end with .csv, .tsv"),
        ("a.parquet", "", "cannot be read"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1", "cannot be read"),
    ],
)
def test_tables_of_no_use(tmp_path, name, content, message):
    write(tmp_path, {name: content})
    fails(tmp_path / name, message, **TABLE)


def test_any_damage_to_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "žž"] * 50, "label": ["x", "y"] * 50}), path)
    good, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[random.integers(0, len(bad), 2)] = random.integers(0, 256, 2)
        path.write_bytes(bad.tobytes())
        try:
            read(path, **TABLE)
        except UserError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


def test_long_cells(tmp_path):
    write(tmp_path, {"a.csv": f"text,label\n{'x' * 1_000_000},b\n"})
    assert len(examples(tmp_path / "a.csv", **TABLE)[0].content) == 1_000_000


def test_a_table_is_streamed(tmp_path):
    write(tmp_path, {"a.csv.gz": gzip.compress(b"text,label\n" + b"some text to read,label\n" * 200_000)})
    reader = TypeAdapter(Reader).validate_python(TABLE)
    tracemalloc.start()
    try:
        rows = reader.read(tmp_path / "a.csv.gz")
        assert sum(1 for _, _ in zip(rows, range(20_000))) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


PICTURES = {"name": "table", "image": "file", "label": "label"}


def test_a_table_of_pictures(tmp_path):
    write(tmp_path, {"t/p/1.png": picture(), "t/p/cut.jpg": picture("JPEG")[:300], "out.png": picture()})
    names = ["p/1.png", "p/cut.jpg", "../out.png", str(tmp_path / "out.png"), "p", "none.png", "x" * 5000, ""]
    write(tmp_path, {"t/a.csv": "file,label\n" + "".join(f"{name},x\n" for name in names)})
    found = read(tmp_path / "t", **PICTURES)
    assert found[0] == Example(f"{tmp_path}/t/a.csv row 2", picture(), "x")
    outside, missing = "its image lies outside of the table's folder", "its image does not exist"
    assert [row.reason for row in found if isinstance(row, Refused)] == [
        "its image is not a readable PNG, JPEG, WEBP image",
        outside,
        outside,
        missing,
        missing,
        missing,
        "its image is empty",
    ]
    fails(pack(tmp_path / "a.zip", {"a.csv": "file,label\n1.png,x\n"}), "in an archive: unpack it", **PICTURES)


def test_pictures_within_parquet(tmp_path):
    for cells in ([picture(), b""], [{"bytes": picture(), "path": "x"}, {"bytes": b"", "path": None}]):
        pq.write_table(pa.table({"file": cells, "label": [3, 4]}), tmp_path / "a.parquet")
        good, bad = read(tmp_path / "a.parquet", **PICTURES)
        assert good == Example(f"{tmp_path}/a.parquet row 1", picture(), "3")
        assert bad == Refused(f"{tmp_path}/a.parquet row 2", "its image is empty")


@pytest.mark.parametrize("options", [{}, {"text": "a", "image": "b"}])
def test_a_table_has_texts_or_pictures(options):
    with pytest.raises(ValidationError, match="must name a column either as text or as image"):
        TypeAdapter(Reader).validate_python({"name": "table", "label": "label"} | options)


# conll


CONLL_U = """# newdoc
# sent_id = 1
# text = du gehst #
1-2\tdu gehst\t_\t_\t_\t_\t_\t_\t_\t_
1\tdu\tdu\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tgehst\tgehen\tVERB\t_\t_\t0\troot\t_\t_
2.1\tx\tx\tVERB\t_\t_\t0\troot\t_\t_
3\t#\t#\tSYM\t_\t_\t0\troot\t_\t_

# text = a b
1\ta b\ta\tX\t_\t_\t0\troot\t_\t_
"""


def test_conll_u(tmp_path):
    write(tmp_path, {"de-ud-dev.conllu": CONLL_U.replace("\n", "\r\n").encode("utf-8-sig")})
    assert examples(tmp_path, name="conll", token=1, tag=3) == [
        Example(f"{tmp_path}/de-ud-dev.conllu line 5", ("du", "gehst", "#"), ("PRON", "VERB", "SYM"), "validation"),
        Example(f"{tmp_path}/de-ud-dev.conllu line 11", ("a b",), ("X",), "validation"),
    ]


def test_conll_2003(tmp_path):
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n# # I-NP O\n\n\n# # B-NP O\n1.5 CD I-NP O\n"
    found = examples(pack(tmp_path / "a.zip", {"eng.train": text, "eng.testb": text.encode("utf-16")}), name="conll")
    sentences = [(("EU", "#"), ("B-ORG", "O")), (("#", "1.5"), ("O", "O"))]
    assert [(e.content, e.label) for e in found] == sentences * 2
    assert [e.split for e in found] == ["train"] * 2 + ["test"] * 2
    assert [e.where.rpartition(" ")[2] for e in found] == ["3", "7"] * 2


def test_comments_of_other_kinds(tmp_path):
    write(tmp_path, {"a.tsv": "#\thttp://x [2009]\n1\tSchar\tB-LOC\tO\n\n#\n# id 3\n1\tA\tO\tO\n\n# the end\n"})
    found = examples(tmp_path, name="conll", token=1, tag=2)
    assert [(e.content, e.label) for e in found] == [(("Schar",), ("B-LOC",)), (("A",), ("O",))]


def test_sentences_that_are_no_example(tmp_path):
    write(tmp_path, {"a.txt": "a A\nb\n\nc C\nd x D\n\ne E\n\nf\t\n\n"})
    assert refused(tmp_path, name="conll") == {
        "a line has no tag": "a.txt line 9",
        "a line has more or fewer columns than the one before": "a.txt line 5",
    }
    assert [row.content for row in read(tmp_path, name="conll") if isinstance(row, Example)] == [("e",)]
    assert set(refused(tmp_path, name="conll", tag=7)) == {"a line has no tag"}
    write(tmp_path, {"a.txt": b"a A\nb \xff\n"})
    fails(tmp_path, r"a\.txt: is not UTF-8 \(line 2, byte 7 of the file\)", name="conll")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("eng.train", "train"),
        ("en-ud-dev.conllu", "validation"),
        ("test.txt", "test"),
        ("a/valid/x.txt", "validation"),
        ("train/x-test.txt", "test"),
        ("latest.txt", None),
        ("train-test.txt", None),
        ("x.conll", None),
    ],
)
def test_splits_by_name(name, split):
    assert splits.named(name) == split


# slash-tagged


def test_slash_tagged(tmp_path):
    tags = write(tmp_path, {"tags.csv": "tag,becomes\nat,DET\nnn,NOUN\n"}) / "tags.csv"
    contents: dict[str, bytes | str] = {
        "p/ca01": "\n\n\tThe/at 1/2/nn\n\n",
        "p/ca02": "a/at b\n/nn\na/\nx/jj\n",
        "p/p.json": "{",
    }
    path = pack(tmp_path / "a.tgz", contents)
    found = read(path, name="slash-tagged", files="c*", tags=str(tags))
    assert found == [
        Example(f"{path}: p/ca01 line 3", ("The", "1/2"), ("DET", "NOUN"), group="p/ca01"),
        Refused(f"{path}: p/ca02 line 1", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 2", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 3", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 4", f"a tag is not in {tags}"),
    ]
    last = read(path, name="slash-tagged", files="c*")[-1]
    assert isinstance(last, Example)
    assert last.label == ("jj",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n", "first line must be tag,becomes"),
        ("tag,becomes\na\n", "row 2: must be a tag"),
        ("tag,becomes\na,X\na,Y\n", "row 3: the tag a becomes X further up"),
        (None, "no such file"),
    ],
)
def test_wrong_tags(tmp_path, content, message):
    write(tmp_path, {"a/a": "x/y"} | ({} if content is None else {"tags.csv": content}))
    with pytest.raises(UserError, match=rf"tags\.csv.*{message}"):
        read(tmp_path / "a", name="slash-tagged", tags=str(tmp_path / "tags.csv"))


# mail


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
    assert read(path, name="mail", labels={"ham-1": "ham", "spam": "spam"}) == [
        Example(f"{path}: p/ham-1/1.txt", "Café and tea Hello you, write to address.", "ham"),
        Example(f"{path}: p/spam/2.txt", "x café & tea end", "spam"),
        Refused(f"{path}: p/x/3", "its folder is not in labels"),
        Refused(f"{path}: 4", "lies in no folder"),
        Refused(f"{path}: p/spam/5", "has no text"),
    ]
    assert [e.label for e in examples(path, name="mail", files="?.txt")] == ["ham-1", "spam"]


@pytest.mark.parametrize("good", [PLAIN, HTML])
def test_any_bytes_are_a_mail(tmp_path, good):
    random = np.random.default_rng(0)
    for number in range(200):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[random.integers(0, len(bad), 8)] = random.integers(0, 256, 8)
        write(tmp_path, {f"a/{number}": bad.tobytes()})
    for row in read(tmp_path, name="mail"):
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
    assert all("x" in e.content for e in examples(tmp_path, name="mail"))  # type: ignore[operator]


# text


def test_text(tmp_path):
    write(tmp_path, {"a/1.txt": "one\n", "a/b/2.txt": "two".encode("utf-16"), "3.txt": "three".encode("utf-8-sig")})
    assert [(e.content, e.label, e.group) for e in examples(tmp_path, name="text")] == [
        ("three", "", "3.txt"),
        ("one\n", "a", "a/1.txt"),
        ("two", "b", "a/b/2.txt"),
    ]
    write(tmp_path, {"a/1.txt": b"\xe9", "a/b/2.txt": " \n"})
    assert refused(tmp_path, name="text", files="a/*") == {"is not UTF-8": "a/1.txt", "is empty": "a/b/2.txt"}
