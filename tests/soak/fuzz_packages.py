"""Packages and inputs as somebody with bad intentions hands them over, a function for each kind of them.

What is done to a package here is never sealed again, unlike in fuzz_cases: it must be refused, whatever it is, unless
all of its files are what they were.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from damage import CHUNKS, changed, damaged
from imports import TOP
from sources import bomb, picture

from pipeline.runtime import package
from pipeline.runtime.errors import UserError
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.trust import signatures

LONGEST = 2_000  # characters of a message
NAMES = (
    "x",
    "a\nb",
    "\x1b[2J",
    "\u202e",
    b"\xff\xfe".decode(errors="surrogateescape"),
    "__pycache__",
    ".git",
    "x" * 200,
)
TARGETS = ("config.json", "../../..", "/dev/zero", "/proc/version", "nowhere", "runtime", ".")
FORMS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/hosts"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/hosts) (r) file\n%%EOF\n"
WORDS = ("word", "ß", "\ud800", "\udcff", "\0", "e\u0301", "\U0001f600", "\u202e", "<|endoftext|>", "\r\n", " " * 50)


@cache
def stored(name: str) -> Path:
    """A package of the tests, extracted once for this process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-stored-"))
    with zipfile.ZipFile(TOP / "tests/packages" / f"format-4-{name}.zip") as archive:
        archive.extractall(folder)
    return folder


@cache
def keys() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-keys-"))
    subprocess.run(signatures.NEW_PAIR, shell=True, cwd=folder, check=True, capture_output=True)
    return folder


def a_strange_package(folder: Path, random: Random) -> None:
    """Some of them signed. What is opened has the files that it had."""
    whole = stored(random.choice(("images", "numbers")))
    copy = Path(shutil.copytree(whole, folder / "package"))
    key = None
    if random.random() < 0.3:
        key = keys() / "pub.pem"
        signatures.sign(copy, keys() / "key.pem")
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        paths = sorted(copy.rglob("*"), key=str) + ([signatures.file_of(copy)] * 9 if key else [])
        if paths:
            random.choice(WAYS)(random.choice(paths), random)
    before = tree(folder)
    try:
        package.task_of(copy)
        package.open_package(copy, key)
    finally:
        assert tree(folder) == before
        assert not [name for name in sys.modules if name.partition(".")[0] == "runtime"], "its own code was run"
    found, expected = content(copy), content(whole)
    if key is None:  # the manifest may say the same in another way
        del found["manifest.json"], expected["manifest.json"]
    assert found == expected


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tree(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), (of := path.lstat()).st_mode, of.st_size) for path in folder.rglob("*"))


def _bytes(path: Path, random: Random) -> None:
    if path.is_file() and not path.is_symlink():  # or it would be the link's target
        path.write_bytes(damaged(path.read_bytes(), random))


def _manifest(path: Path, random: Random) -> None:
    path = (
        next(top / "manifest.json" for top in path.parents if top.name == "package") if path.suffix != ".sig" else path
    )
    if path.is_file() and not path.is_symlink():
        try:
            path.write_text(json.dumps(changed(json.loads(path.read_bytes()), random), skipkeys=True))
        except ValueError:  # it is no JSON by now
            path.write_bytes(b"[" * 100_000)


def _remove(path: Path, random: Random) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _add(path: Path, random: Random) -> None:
    if path.parent.is_dir():
        new = path.with_name(random.choice(NAMES))
        if not os.path.lexists(new):
            new.write_bytes(random.choice(CHUNKS))


def _rename(path: Path, random: Random) -> None:
    new = path.with_name(random.choice(NAMES))
    if os.path.lexists(path) and not os.path.lexists(new):
        path.rename(new)


def _link(path: Path, random: Random) -> None:
    _remove(path, random)
    if path.parent.is_dir():
        path.symlink_to(random.choice(TARGETS))


def _other_kind(path: Path, random: Random) -> None:
    _remove(path, random)
    if not path.parent.is_dir():
        return
    match random.randrange(4):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            (path / "a/b/c").mkdir(parents=True)
        case _ if len(str(path)) < 100:  # the longest name that a socket may have
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))


WAYS: tuple[Callable[[Path, Random], None], ...] = (
    _bytes,
    _bytes,
    _manifest,
    _manifest,
    _remove,
    _add,
    _rename,
    _link,
    _other_kind,
)


@cache
def predictor(name: str) -> Predictor:
    return Predictor(stored(name))


def an_input(folder: Path, random: Random) -> None:
    """An image or a text: encoded in the shape that the model takes, or refused."""
    asked, given = random.choice(((predictor("images"), an_image), (predictor("numbers"), a_text)))
    arrays = asked.encode(given(random), random.choice(("x.png", *NAMES)))
    for array, of in zip(arrays, asked.config["inputs"], strict=True):
        assert all(n in (m, -1) for n, m in zip(of["shape"][1:], array.shape, strict=True))
        assert np.isfinite(array).all()


def an_image(random: Random) -> bytes:
    start = random.choice(
        (*(picture(form, random.randrange(9)) for form in FORMS), SVG, EPS, bomb(60_000, 60_000), b"")
    )
    return start if random.random() < 0.05 else damaged(start, random)


def a_text(random: Random) -> str:
    if random.random() < 0.02:
        return random.choice(WORDS) * (1_000_000 // random.choice((1, 4, 50)))
    content = " ".join(random.choices(WORDS, k=random.randrange(30))).encode(errors="surrogatepass")
    return damaged(content, random).decode(errors=random.choice(("surrogateescape", "replace")))


def one_line(error: UserError) -> None:
    """Whether a message is what it should be."""
    text = str(error)
    assert text.isprintable(), f"a message with control characters: {text[:300]!r}"
    assert len(text) < LONGEST, f"a message of {len(text):,} characters: {text[:300]!r}"
