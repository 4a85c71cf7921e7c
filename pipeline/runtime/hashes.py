"""The sha256 of a file: dependencies, checkpoints, manifests and provenance are checked by it."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes in hexadecimal, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
