"""The idx reader, on good files and on hostile ones."""

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest
from idx_files import pack

from pipeline.readers import raw_data
from pipeline.readers.example import Example
from pipeline.readers.formats.idx import Reader, read_array
from pipeline.runtime.encoders import images
from pipeline.runtime.encoders.specs import ImageSpec
from pipeline.runtime.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for prefix, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(pack(PIXELS[rows]))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(pack(LABELS[rows])))
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    return tmp_path


def read(source: Path) -> list[Example]:
    examples = list(Reader(source=str(source), format="idx").read())
    assert all(isinstance(e, Example) for e in examples)
    return examples  # type: ignore[return-value]


def test_reads_plain_and_packed_files(source):
    examples = read(source)
    assert [e.split for e in examples] == ["train"] * 4 + ["test"] * 2
    assert [e.label for e in examples] == ["red", "green", "blue", "red", "green", "blue"]
    assert examples[5].where == f"{source}/t10k-images-idx3-ubyte: image 1"
    assert [e.key for e in examples] == [pixels.tobytes() for pixels in PIXELS]
    spec = ImageSpec(height=5, width=4, colour="grey", resize="exact", margin=0, background="black")
    for example, pixels in zip(examples, PIXELS):
        assert isinstance(example.content, bytes)
        np.testing.assert_array_equal(images.decode(example.content, spec, "x")[..., 0], pixels)


def test_labels_are_numbers_without_names(source):
    (source / "labels.txt").unlink()
    assert {str(e.label) for e in read(source)} == {"0", "1", "2"}


@pytest.mark.parametrize("names", [b"red\ngreen\nblue", b"\xef\xbb\xbfred\r\ngreen\r\nblue\r\n"])
def test_names_however_they_are_written(source, names):
    (source / "labels.txt").write_bytes(names)
    assert {str(e.label) for e in read(source)} == {"red", "green", "blue"}


def images_of(source: Path) -> Path:
    return source / "train-images-idx3-ubyte"


def labels_of(source: Path) -> Path:
    return source / "train-labels-idx1-ubyte.gz"


HOSTILE = {
    "no images": (lambda s: images_of(s).unlink(), "train-images-idx3-ubyte.* is missing"),
    "empty": (lambda s: images_of(s).write_bytes(b""), "not an IDX file .* starts with nothing"),
    "wrong magic": (lambda s: images_of(s).write_bytes(pack(PIXELS, b"\x89PNG")), "starts with 89 50 4e 47"),
    "wrong axes": (lambda s: images_of(s).write_bytes(pack(LABELS)), "with 3 axes"),
    "cut short": (lambda s: images_of(s).write_bytes(pack(PIXELS)[:-7]), "holds 113 of the 120 bytes"),
    "too long": (lambda s: images_of(s).write_bytes(pack(PIXELS) + b"x"), "more than the 120 bytes"),
    "huge header": (lambda s: images_of(s).write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12), "its header announces"),
    "count mismatch": (lambda s: images_of(s).write_bytes(pack(PIXELS[:3])), "3 images but .* 4 labels"),
    "cut gzip": (lambda s: labels_of(s).write_bytes(gzip.compress(pack(LABELS[:4]))[:-9]), "cannot be read"),
    "not gzip": (lambda s: labels_of(s).write_bytes(pack(LABELS[:4])), "cannot be read .*gzip"),
    "rotten gzip": (lambda s: labels_of(s).write_bytes(flip(gzip.compress(pack(LABELS[:4])), -8)), "cannot be read"),
    "a folder": (lambda s: (images_of(s).unlink(), images_of(s).mkdir()), "train-images-idx3-ubyte.* is missing"),
    "unnamed label": (lambda s: (s / "labels.txt").write_text("red\ngreen\n"), "label 2 is 2, but .* 2 classes"),
}


def flip(content: bytes, at: int) -> bytes:
    damaged = bytearray(content)
    damaged[at] ^= 0xFF
    return bytes(damaged)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_named_in_one_line(source, kind):
    spoil, message = HOSTILE[kind]
    spoil(source)
    with pytest.raises(UserError, match=message) as caught:
        read(source)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_any_single_damaged_byte_is_refused_or_read(source):
    """Nothing but a UserError, whatever byte is hit."""
    good = gzip.compress(pack(LABELS), mtime=0)
    for at in range(len(good)):
        labels_of(source).write_bytes(flip(good, at))
        with contextlib.suppress(UserError):
            assert read_array(labels_of(source), axes=1).shape == (6,)


def test_checksums_are_of_the_decompressed_content(source):
    (source / "SHA256SUMS").write_text(f"{'0' * 64}  train-labels-idx1-ubyte\n")
    with pytest.raises(UserError, match=r"labels-idx1-ubyte.gz: the sha256 .*SHA256SUMS row 1 says 0000"):
        raw_data.verify_sums(source)
