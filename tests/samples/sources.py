"""Sources for the tests of readers, good and hostile ones, and the three ways to read them."""

import io
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from pipeline.readers import Example, Reader, Refused
from pipeline.runtime.errors import UserError


def read(source: Path, **options: object) -> list[Example | Refused]:
    return list(TypeAdapter(Reader).validate_python({"source": str(source), **options}).read())


def examples(source: Path, **options: object) -> list[Example]:
    """All of them; there must be no Refused."""
    items = read(source, **options)
    assert not [row for row in items if isinstance(row, Refused)]
    return [row for row in items if isinstance(row, Example)]


def refused(source: Path, **options: object) -> dict[str, str]:
    """Reason -> where, without the path of the source."""
    items = [row for row in read(source, **options) if isinstance(row, Refused)]
    assert all("\n" not in row.where + row.reason for row in items)
    return {row.reason: row.where.removeprefix(str(source)).lstrip("/ ") for row in items}


def fails(source: Path, message: str, **options: object) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(source, **options)
    assert str(caught.value).startswith(str(source))
    assert "\n" not in str(caught.value)


def peak_memory(imports: str, expression: str) -> tuple[int, int]:
    """The value of an expression, and the bytes that Python allocated for it at most.

    In a process of its own: here, what earlier tests left would count, such as Python's table of interned strings,
    which takes 15 MB at once when it grows.
    """
    measured = f"tracemalloc.start()\nprint({expression}, tracemalloc.get_traced_memory()[1])"
    code = f"import tracemalloc\n{imports}\n{measured}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    value, peak = map(int, out.split())
    return value, peak


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
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of no time
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
