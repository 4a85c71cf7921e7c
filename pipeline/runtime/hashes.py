"""The sha256 of a file: what dependencies, checkpoints, manifests and provenance are checked by."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The hexadecimal sha256 of a file's bytes, read a part at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
