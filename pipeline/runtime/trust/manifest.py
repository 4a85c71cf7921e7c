"""manifest.json: the size and sha256 of every other file of a package, so that damage is found before anything is used.

A package holds plain files and folders alone. A link or a device is refused unread: a link may lead anywhere, and a
device may never end. What Python compiles from `runtime/` is left out, since it comes with use.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import strict_json
from ..errors import UserError
from ..hashes import sha256

FORMAT, OLDEST = 5, 4  # of the packages that are written, and of those that can still be read
MANIFEST = "manifest.json"
LARGEST = 1 << 24  # bytes of a manifest: that of a package of a hundred files has 20,000
SHA256 = re.compile("[0-9a-f]{64}")
CURE = "a package holds only files: `cp -rL {folder} COPY` copies it without links"


def seal(folder: Path) -> None:
    """Writes the manifest. Raises UserError where the folder holds anything but files and folders."""
    files = {name: {"size": size, "sha256": sha256(folder / name)} for name, size in sizes(folder).items()}
    strict_json.write(folder / MANIFEST, {"format": FORMAT, "files": files})


def verify(folder: Path, *names: str) -> None:
    """Raises UserError if a file of the package is missing, changed, or not in the manifest. With `names`, the content
    of those files alone is compared; of the others, only their sizes.
    """
    listed, present = read(folder)["files"], sizes(folder)
    for name in sorted(listed.keys() | present.keys()):
        if name not in present:
            raise UserError(f"{folder}: {name} is missing; copy the package again")
        if name not in listed:
            raise UserError(f"{folder}: {name} is not in {MANIFEST}; remove it, or copy the package again")
        if present[name] != listed[name]["size"]:
            raise UserError(
                f"{folder}: {name} is damaged: it has {present[name]:,} bytes, and {MANIFEST} says "
                f"{listed[name]['size']:,}; copy the package again"
            )
    for name in names or sorted(listed):
        if name not in listed:
            raise UserError(f"{folder}: {name} is missing; copy the package again")
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise UserError(_why(folder, error)) from error
        if found != listed[name]["sha256"]:
            raise UserError(f"{folder}: {name} is damaged: {MANIFEST} has another sha256; copy the package again")


def sizes(folder: Path, *, compiled: bool = False) -> dict[str, int]:
    """The size of each file but the manifest, by its name with slashes; what Python has `compiled` is left out, if not
    asked for. Raises UserError where the folder, which exists, holds anything but files and folders, or cannot be read.
    """
    try:
        found = dict(sorted(_walk(folder, compiled)))
    except OSError as error:
        raise UserError(_why(folder, error)) from error
    found.pop(MANIFEST, None)
    return found


def read(folder: Path) -> dict[str, Any]:
    """The manifest: `format`, a number, and `files`, size and sha256 by name. Raises UserError if the folder is no
    package, or of a format that cannot be read.
    """
    path = folder / MANIFEST
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "no such folder" if not folder.exists() else f"not a package: it has no {MANIFEST}"
        raise UserError(f"{folder}: {what}; `dvc repro` writes one to `package`") from error
    except (OSError, ValueError) as error:
        raise UserError(_why(folder, error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} {_kind(found.st_mode)}: {CURE.format(folder=folder)}")
    if found.st_size > LARGEST:
        raise UserError(f"{path}: not a manifest: it has {found.st_size:,} bytes; copy the package again")
    manifest = strict_json.read(path)
    number = manifest.get("format") if isinstance(manifest, dict) else None
    if type(number) is not int or not isinstance(manifest.get("files"), dict):
        raise UserError(f"{path}: not the manifest of a package; copy the package again")
    if number > FORMAT:
        raise UserError(
            f"{path}: of format {number}, which a newer version of this project wrote; this one reads {OLDEST} to "
            f"{FORMAT}: use the newer version, or the package's own runtime, as its README.md says"
        )
    if number < OLDEST:
        raise UserError(
            f"{path}: of format {number}, which is no longer read; this version reads {OLDEST} to {FORMAT}: make the "
            "package anew with `dvc repro`"
        )
    for name, of in manifest["files"].items():
        if not _is_name(name) or not _is_entry(of):
            raise UserError(f"{path}: {name!r} and what follows describe no file in it; copy the package again")
    return manifest


def _walk(top: Path, compiled: bool) -> Iterator[tuple[str, int]]:
    """The name and size of each file. Without recursion, which a folder that is deep enough would end."""
    folders = [top]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path, of = Path(entry.path), entry.stat(follow_symlinks=False)
                name = path.relative_to(top).as_posix()
                if stat.S_ISREG(of.st_mode):
                    if not _is_output(of):
                        yield name, of.st_size
                elif not stat.S_ISDIR(of.st_mode):
                    raise UserError(f"{top}: {name} {_kind(of.st_mode)}: {CURE.format(folder=top)}")
                elif compiled or entry.name != "__pycache__" or not name.startswith("runtime/"):
                    folders.append(path)


def _is_output(of: os.stat_result) -> bool:
    """Whether it is what this process writes to: `predict . INPUT > answers.csv` makes a file in the package."""
    try:
        return os.path.samestat(of, os.fstat(1))
    except OSError:  # there is no standard output
        return False


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a link"
    return "is a folder" if stat.S_ISDIR(mode) else "is a device, a pipe or a socket"


def _is_name(name: str) -> bool:
    """Whether it can only be a file inside the folder."""
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and "\0" not in name and name != MANIFEST


def _is_entry(of: Any) -> bool:
    return (
        isinstance(of, dict)
        and type(of.get("size")) is int
        and of["size"] >= 0
        and isinstance(of.get("sha256"), str)
        and SHA256.fullmatch(of["sha256"]) is not None
    )


def _why(folder: Path, error: Exception) -> str:
    """What the system says of a folder that cannot be read."""
    if not isinstance(error, OSError):
        return f"{folder}: cannot be the name of a folder ({error})"
    what = (error.strerror or str(error)).lower()
    return f"{error.filename or folder}: {what}: make the package readable for you, or copy it again"
