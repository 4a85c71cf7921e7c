"""Small IDX files, right and wrong."""

import gzip
import hashlib
from pathlib import Path

import numpy as np

RAW = Path(__file__).parents[2] / "data/raw/fashion-mnist"


def pack(array: np.ndarray, magic: bytes | None = None) -> bytes:
    """An array of unsigned bytes in the IDX format."""
    head = magic or bytes([0, 0, 8, array.ndim])
    return head + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.astype(np.uint8).tobytes()


def write_slice(folder: Path, *, train: int, test: int) -> None:
    """The first few examples of Fashion-MNIST, with their checksums, in place of the whole."""
    sums = []
    for prefix, count in (("train", train), ("t10k", test)):
        for stem, axes in ((f"{prefix}-images-idx3-ubyte", 3), (f"{prefix}-labels-idx1-ubyte", 1)):
            content = gzip.decompress((RAW / f"{stem}.gz").read_bytes())
            shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, 4 + 4 * axes, 4)]
            array = np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)[:count]
            (folder / f"{stem}.gz").write_bytes(gzip.compress(pack(array), mtime=0))
            sums.append(f"{hashlib.sha256(pack(array)).hexdigest()}  {stem}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
