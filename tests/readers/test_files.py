"""A source is walked file by file: folders, archives, single files; and the splits that splits.csv gives them."""

import bz2
import gzip
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sources import fails, pack, peak_memory, read, write

from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files

ROOT = Path(__file__).parents[2]


WALK = "from pathlib import Path\nfrom pipeline.runtime.reading import files"  # for a process of its own
ARCHIVES = ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "A.ZIP"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_read_in_its_own_order_without_what_speaks_of_the_data(tmp_path, name):
    contents = {"./d/b": "1", "d/a.txt.gz": gzip.compress(b"2"), "README.md": "x", "d/LICENSE": "x", "d/.hidden": "x"}
    contents |= {"__MACOSX/d/b": "x", "d/b.dvc": "x"}
    path = pack(tmp_path / name.lower(), contents).rename(tmp_path / name)
    for source in (path, tmp_path):
        archive = path.name if source == tmp_path else ""
        expected = [("d/b", b"1", f"{path}: d/b", archive), ("d/a.txt", b"2", f"{path}: d/a.txt.gz", archive)]
        assert list(files.walk(source)) == expected
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
    assert list(files.walk(tmp_path / "x.txt.gz")) == [("x.txt", b"y", str(tmp_path / "x.txt.gz"), "")]
    assert list(files.walk(tmp_path / "y")) == [("y", b"z", str(tmp_path / "y"), "")]


LEFT = (
    "Thumbs.db,ehthumbs.db,Desktop.ini,Icon\r,.DS_Store,_SUCCESS,_metadata,_common_metadata,_committed_42,"
    "readme.txt,ReadMe,README.en.md,README_de.md,read_me.txt,licence.md,License-MIT,COPYING.LESSER,NOTICE,"
    "CHANGELOG.md,CITATION.cff,md5sums.txt,SHA512SUMS,a.csv.md5,a.zip.sha256,checksums.txt,part-0.crc,a.csv~,~$a.csv,"
    "#a.csv#,dataset_infos.json,@eaDir/a.png,$RECYCLE.BIN/a.txt,lost+found/1,_temporary/0/a.parquet,d/thumbs.db,"
    "d/__pycache__/a.pyc,1.png:Zone.Identifier,README_first.txt,README1.txt,!readme.txt,00README,ReadMe!,"
    "LICENSE_CC_BY.txt,Copyright.txt,SHA256SUMS.asc,a.csv.bak,a.txt.swp,Inbox.msf,maildirfolder,dovecot-uidlist,"
    "index.html?C=N;O=D,_spark_metadata/0"
)
KEPT = (
    "license.jpg,readme-1.png,READMEs.txt,LICENSES/a,notice.txt,copyings,a~b,_other/1.png,readme.csv,metadata,"
    "thumbs/1.txt,authors.txt,states.json,"
    "11:30,readmes_1.txt,license_to_kill.txt,index.html"
)


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.tar"])
def test_what_systems_and_programs_leave_is_no_data(tmp_path, name):
    contents: dict[str, bytes | str] = dict.fromkeys(f"{LEFT},{KEPT}".split(","), "x")
    source = write(tmp_path / name, contents) if name == "folder" else pack(tmp_path / name, contents)
    assert {file.name for file in files.walk(source)} == set(KEPT.split(","))


def test_broken_links_that_editors_leave(tmp_path):
    write(tmp_path, {"a.txt": "x"})
    (tmp_path / ".#a.txt").symlink_to("user@host.1")
    assert files.count(tmp_path) == 1


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("member", ["../x", "d/../../x", "/etc/x", "C:/x", "C:\\x", "..\\x"])
def test_a_member_that_climbs_out_is_not_trusted(tmp_path, name, member):
    path = pack(tmp_path / name, {"good": "1", member: "2"})
    fails(path, r"a\.(zip|tar): .*x climbs out of the archive", format="text")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    member = tarfile.TarInfo("d/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.addfile(member)
    fails(tmp_path / "a.tgz", "d/link is a link or a device", format="text")


def test_links_in_a_zip(tmp_path):
    member = zipfile.ZipInfo("d/link")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    fails(tmp_path / "a.zip", "d/link is a link or a device", format="text")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.txt.gz"])
def test_an_archive_that_is_damaged_anywhere_is_refused_or_read_whole(tmp_path, name):
    """No other error, and no example lost without a word."""
    contents: dict[str, bytes | str] = {f"d/{n}": f"text {n}" for n in range(3)}
    path = tmp_path / name
    if name == "a.txt.gz":
        path.write_bytes(gzip.compress(b"text"))
    else:
        pack(path, contents)
    good, whole = path.read_bytes(), len(read(path, format="text"))
    # what follows the end of a tar is of no matter, and the directory at the end of a zip has no checksum
    end = {"a.tar": 4 * 1024, "a.zip": good.find(b"PK\1\2")}.get(name, len(good))
    random = np.random.default_rng(0)
    for at in random.choice(end, min(end, 300), replace=False):
        bad = bytearray(good)
        bad[at] ^= random.integers(1, 256)
        for content in (bytes(bad), good[:at]):
            path.write_bytes(content)
            try:
                assert len(read(path, format="text")) == whole
            except UserError as error:
                assert str(error).startswith(str(path))  # noqa: PT017
                assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.gz"])
def test_what_is_no_archive(tmp_path, name):
    write(tmp_path, {name: "hello, this is some text"})
    fails(tmp_path / name, "cannot be read .*; fetch it again", format="text")


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    write(tmp_path, {"a.gz": gzip.compress(bytes(10**7)), "b/a.tar.bz2": ""})
    (tmp_path / "b/a.tar.bz2").write_bytes(bz2.compress(pack(tmp_path / "b/a.tar", {"x": bytes(10**6)}).read_bytes()))
    for name, where in (("a.gz", "a.gz"), ("b/a.tar.bz2", "b/a.tar.bz2: x")):
        fails(tmp_path / name, f"{where}: is larger than 1,000 bytes when unpacked", format="text")


def test_missing_and_empty_sources(tmp_path):
    for options in ({"format": "text"}, {"format": "image-folder"}, {"format": "table", "text": "t", "label": "l"}):
        fails(tmp_path / "none", "none: no such file or folder", **options)
        fails(tmp_path, "holds no file", **options)


def test_broken_links_and_loops(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").symlink_to(tmp_path / "nowhere")
    fails(tmp_path, "a/b: is a broken link", format="text")
    (tmp_path / "a/b").unlink()
    (tmp_path / "a/b").symlink_to(tmp_path)
    fails(tmp_path, "a/b: links to a folder above it", format="text")


def test_csv_fields_have_the_usual_limit_until_a_table_is_read():
    code = "import csv, pipeline.readers; print(csv.field_size_limit())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{128 << 10}\n"


def test_a_name_that_is_no_text(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.txt")).write_bytes(b"x")
    fails(tmp_path, r"/\\udcff\.txt: its name has control characters or is not UTF-8", format="text")


@pytest.mark.parametrize("locked", ["a.txt", "d", "."])
def test_no_permission(tmp_path, locked):
    """As a user that is not root, to whom nothing is forbidden."""
    source = write(tmp_path / "source", {"a.txt": "x", "d/b.txt": "y"})
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from pipeline.runtime.errors import UserError
from pipeline.readers.formats import text
"".encode("utf-8-sig")  # Python itself may lie where only root can read
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    list(text.Reader(source={str(source)!r}, format="text").read())
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
def test_memory_stays_flat_with_50_000_files(tmp_path):
    """300 bytes a file, for its name alone."""
    for number in range(50_000):
        (tmp_path / f"{number:06}.txt").write_bytes(b"x" * 10)
    length, peak = peak_memory(WALK, f"sum(len(file.content) for file in files.walk(Path({str(tmp_path)!r})))")
    assert length == 500_000
    assert peak < 10e6
    assert files.count(tmp_path) == 50_000


@pytest.mark.parametrize("name", ["a.tar", "a.tgz"])
def test_members_of_a_tar_do_not_pile_up(tmp_path, name):
    path = pack(tmp_path / name, {f"{number:05}": "x" for number in range(5_000)})
    members, peak = peak_memory(WALK, f"sum(1 for _ in files.walk(Path({str(path)!r})))")
    assert members == 5_000
    assert peak < 2e6
