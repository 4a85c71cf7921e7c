"""Whatever is done to a package's files is found, and named, before any of them is used."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from imports import TOP

from pipeline.runtime import package
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest


def change(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(content))


def refused(folder: Path) -> str:
    """Why it cannot be opened: in one line."""
    with pytest.raises(UserError) as error:
        package.open_package(folder)
    assert str(error.value).startswith(str(folder)[:100])
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "PACKAGE")


def test_a_whole_one_is_opened(old):
    assert package.open_package(old)["task"] == "classification"


def test_a_flipped_byte_in_any_file_is_named(old):
    names = [path.relative_to(old).as_posix() for path in old.rglob("*") if path.is_file()]
    assert len(names) > 30
    for name in names:
        if name == "manifest.json":
            continue
        content = (old / name).read_bytes()
        damaged = bytearray(content or b"a")
        damaged[len(damaged) // 2] ^= 1
        (old / name).write_bytes(damaged)
        assert refused(old).startswith(f"PACKAGE: {name} is damaged")
        (old / name).write_bytes(content)
    manifest.verify(old)


def test_a_flipped_byte_anywhere_in_the_manifest_is_found(old):
    """But for those that change no meaning: the space between its parts."""
    path = old / "manifest.json"
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 2
        path.write_bytes(damaged)
        if content[place : place + 1].strip():
            assert refused(old)


def test_a_missing_and_an_added_file_are_named(old):
    (old / "labels.json").rename(old / "runtime" / "labels.json")
    assert refused(old) == "PACKAGE: labels.json is missing; copy the package again"
    (old / "labels.json").write_bytes((old / "runtime" / "labels.json").read_bytes())
    why = "is not in manifest.json; remove it, or copy the package again"
    assert refused(old) == f"PACKAGE: runtime/labels.json {why}"


def test_an_empty_file_is_named(old):
    (old / "model.safetensors").write_bytes(b"")
    assert refused(old).startswith(
        "PACKAGE: model.safetensors is damaged: it has 0 bytes, and manifest.json says 11,448"
    )
    (old / "manifest.json").write_bytes(b"")
    assert "manifest.json: not readable as JSON" in refused(old)


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "runtime/package.py"])
def test_a_link_is_refused_wherever_it_leads(old, tmp_path, name):
    """Also to the very file: the next one may lead elsewhere."""
    kept = tmp_path / "kept"
    shutil.copy(old / name, kept)
    link(old / name, kept)
    assert "is a link: a package holds only files: `cp -rL PACKAGE COPY`" in refused(old)
    assert name in refused(old)
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-rL", old, copied], check=True)  # the cure
    manifest.verify(copied)


def test_a_link_to_a_folder_is_refused(old, tmp_path):
    (old / "runtime").rename(tmp_path / "runtime")
    (old / "runtime").symlink_to(tmp_path / "runtime")
    assert refused(old).startswith("PACKAGE: runtime is a link")


def test_a_pipe_is_not_read(old):
    """Reading one would wait for ever."""
    (old / "config.json").unlink()
    os.mkfifo(old / "config.json")
    why = "is a device, a pipe or a socket: a package holds only files"
    assert refused(old).startswith(f"PACKAGE: config.json {why}")
    with pytest.raises(UserError, match=why):
        package.task_of(old)


def test_a_folder_in_place_of_a_file(old):
    (old / "labels.json").unlink()
    (old / "labels.json").mkdir()
    assert refused(old).startswith("PACKAGE: labels.json is missing")
    (old / "manifest.json").unlink()
    (old / "manifest.json").mkdir()
    assert refused(old).startswith("PACKAGE/manifest.json is a folder: a package holds only files")


def test_other_formats(old):
    change(old, format=manifest.FORMAT + 1)
    assert f"of format {manifest.FORMAT + 1}, which a newer version of this project wrote" in refused(old)
    change(old, format=3)
    assert "of format 3, which is no longer read" in refused(old)
    for number in (True, 4.0, "4", None, float("nan")):
        change(old, format=number)
        assert "not the manifest of a package" in refused(old)


NO_MANIFEST = {
    "empty": b"",
    "text": b"not JSON",
    "deep": b"[" * 100_000,
    "no files": b'{"format": 4}',
    "a list": b"[4]",
    "null": b"null",
    "a huge number": b'{"format": ' + b"9" * 5_000 + b"}",
    "no UTF-8": b"\xff",
    "large": b" " * (1 << 25),
}


@pytest.mark.parametrize("content", NO_MANIFEST.values(), ids=NO_MANIFEST)
def test_a_manifest_that_is_none(old, content):
    (old / "manifest.json").write_bytes(content)
    assert "manifest.json: not " in refused(old)


@pytest.mark.parametrize(
    "name",
    ["../old/labels.json", "/etc/passwd", "a/../labels.json", "./labels.json", "a//b", "", "a\0b", "manifest.json"],
)
def test_names_that_lead_out(old, name):
    files = json.loads((old / "manifest.json").read_text())["files"]
    change(old, files=files | {name: files["labels.json"]})
    assert "describe no file in it" in refused(old)


@pytest.mark.parametrize(
    "entry",
    [None, {}, {"size": -1, "sha256": "0" * 64}, {"size": 1.5, "sha256": "0" * 64}, {"size": 2, "sha256": "0" * 63}],
)
def test_entries_that_are_none(old, entry):
    files = json.loads((old / "manifest.json").read_text())["files"]
    change(old, files=files | {"labels.json": entry})
    assert "'labels.json' and what follows describe no file in it" in refused(old)


def test_a_size_beyond_all_files(old):
    files = json.loads((old / "manifest.json").read_text())["files"]
    change(old, files=files | {"labels.json": files["labels.json"] | {"size": 10**400}})
    assert "labels.json is damaged: it has 39 bytes" in refused(old)


@pytest.mark.parametrize("folder", ["nowhere", "a\0b", "x" * 300, "manifest.json/package"])
def test_a_folder_that_is_none(old, folder):
    with pytest.raises(UserError, match=r"no such folder|cannot be the name of a folder|file name too long"):
        package.open_package(old / folder)


def test_a_deep_folder_is_refused(old):
    with chdir(old):
        for _ in range(1_900):
            os.mkdir("a")
            os.chdir("a")
        Path("file").touch()
    why = refused(old)
    subprocess.run(["rm", "-r", old / "a"], check=True)  # Python cannot
    assert why.endswith("is not in manifest.json; remove it, or copy the package again")


# As somebody who is not its owner: root can read and write everything.
OTHER_USER = """
import os, sys
from pathlib import Path
from pipeline.runtime import package
from pipeline.runtime.errors import UserError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    print(package.open_package(Path(sys.argv[1]))["task"])
except UserError as error:
    print(error)
"""


def as_other_user(folder: Path) -> str:
    command = [sys.executable, "-c", OTHER_USER, folder]
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, text=True, check=True).stdout


READABLE = "make the package readable for you, or copy it again\n"


def test_permissions(old):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o755)
        package = Path(shutil.copytree(old, f"{folder}/package"))
        for path in (package, *package.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        assert as_other_user(package) == "classification\n"  # nothing is written into it
        (package / "labels.json").chmod(0)
        assert as_other_user(package) == f"{package}/labels.json: permission denied: {READABLE}"
        (package / "sample").chmod(0)
        assert as_other_user(package) == f"{package}/sample: permission denied: {READABLE}"
        for path in (package, *package.rglob("*")):
            path.chmod(0o755)  # so that it can be removed
