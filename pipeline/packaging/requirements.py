"""requirements.txt of a package: what its kind of input and its engine import, and all that these need in turn.

Versions and hashes are those of the repository's requirements.txt, as they stand there, markers for other systems and
other versions of Python included. No index is named: that is the business of whoever installs them.
"""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import NamedTuple

from pipeline.runtime.errors import UserError

PINNED = Path("requirements.txt")  # of the repository
FILE, FOR_EXPLANATIONS = "requirements.txt", "requirements-explain.txt"  # of a package

ALWAYS = ("jaxtyping", "numpy")
SERVER = (
    "fastapi",
    "httptools",
    "orjson",
    "prometheus-client",
    "pydantic",
    "python-multipart",
    "starlette",
    "uvicorn",
    "uvloop",
)
KINDS = {
    "images": ("pillow",),
    "texts": ("tokenizers", "webencodings"),
    "sentences": ("webencodings",),
    "corpus": ("tiktoken", "tokenizers", "webencodings"),
}
ENGINES = {"onnx": ("onnxruntime",), "jax": ("flatbuffers", "jax", "safetensors")}

PIN = re.compile(
    r"(?m)^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?: \\\n {4}--hash=sha256:[0-9a-f]{64})+$"
)
NEEDED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[(?P<extras>[^]]*)\])?")
EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)""")


class Pin(NamedTuple):
    """A version of a library, with the sha256 of each of its files, and where it is the one to install."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    text: str  # as it stands in the file


def names(kind: str, engine: str) -> list[str]:
    """The libraries that a package's runtime imports for a kind of input, run by an engine."""
    return [*ALWAYS, *SERVER, *KINDS[kind], *ENGINES[engine]]


def write(path: Path, libraries: Iterable[str]) -> None:
    """Writes the pins of these libraries and of all that they need."""
    path.write_text("".join(f"{pin.text}\n" for pin in closure(libraries)), encoding="utf-8", newline="\n")


def closure(libraries: Iterable[str]) -> list[Pin]:
    """The pins of these libraries and of all that they need, on any system. Raises UserError where one is missing."""
    pinned = read(PINNED)
    found = needs(libraries)
    if missing := sorted(set(map(normalised, libraries)) - {pin.name for pin in pinned}):
        raise UserError(f"{PINNED}: does not pin {', '.join(missing)}: `git checkout {PINNED}`")
    return [pin for pin in pinned if pin.name in found]


def needs(libraries: Iterable[str]) -> dict[str, set[str]]:
    """What each of these libraries needs, and what that needs: name -> names, by what is installed here.

    A library for another system is not installed here: what it needs is not known, and is nothing as far as we know.
    """
    found: dict[str, set[str]] = {}
    waiting = [(normalised(name), frozenset[str]()) for name in libraries]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:
            wanted = []
        own = found.setdefault(name, set())
        for line in wanted:
            if (conditions := EXTRA.findall(line.partition(";")[2])) and not extras & set(conditions):
                continue
            match = NEEDED.match(line)
            assert match is not None
            other = normalised(match["name"])
            own.add(other)
            item = (other, frozenset(filter(None, re.split(r"[\s,]+", match["extras"] or ""))))
            if item not in seen:
                seen.add(item)
                waiting.append(item)
    return found


def read(path: Path) -> list[Pin]:
    """The pins in a file that `uv pip compile --generate-hashes` wrote. Raises UserError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file: `git checkout {path}`") from error
    return [
        Pin(
            normalised(match["name"]),
            match["version"],
            match["marker"],
            tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", match[0])),
            match[0],
        )
        for match in PIN.finditer(text)
    ]


def normalised(name: str) -> str:
    """A distribution's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()
