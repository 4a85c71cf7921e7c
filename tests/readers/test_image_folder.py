"""A folder for each class, and pictures that are none."""

import numpy as np
import pytest
from PIL import Image
from sources import bomb, examples, fails, pack, picture, refused, write

from pipeline.readers import Example
from pipeline.runtime.encoders import images

FLOWERS = {"rose/1.png": picture(), "rose/deep/2.JPG": picture("JPEG"), "tulip/3.webp": picture("WEBP")}


def test_a_class_for_each_folder(tmp_path):
    items = examples(write(tmp_path, FLOWERS), format="image-folder")
    assert [(e.label, e.split) for e in items] == [("rose", None), ("rose", None), ("tulip", None)]
    assert items[0] == Example(str(tmp_path / "rose/1.png"), FLOWERS["rose/1.png"], "rose")
    write(tmp_path, {"tulip/readme.jfif": picture("JPEG", seed=1)})
    assert examples(tmp_path, format="image-folder")[-1].where.endswith("tulip/readme.jfif")


@pytest.mark.parametrize("prefix", ["", "flowers/", "data/flowers/"])
def test_folders_of_splits_and_an_archive_in_one_folder(tmp_path, prefix):
    parts = {"train": "train", "valid": "validation", "Test": "test", "shifted": "shifted"}
    contents: dict[str, bytes | str] = {f"{prefix}{part}/{n}": c for part in parts for n, c in FLOWERS.items()}
    expected = [(label, split) for split in parts.values() for label in ("rose", "rose", "tulip")]
    for name in ("a.tgz", "a.zip"):
        items = examples(pack(tmp_path / name, contents), format="image-folder")
        assert [(e.label, e.split) for e in items] == expected
    if not prefix:
        write(tmp_path / "folder", contents)
        assert sorted((e.label, e.split) for e in examples(tmp_path / "folder", format="image-folder")) == sorted(
            expected
        )


def test_an_archive_of_classes_only(tmp_path):
    path = pack(tmp_path / "a.zip", {f"flowers/{name}": content for name, content in FLOWERS.items()})
    assert [e.label for e in examples(path, format="image-folder")] == ["rose", "rose", "tulip"]
    path = pack(tmp_path / "b.zip", {f"train/{name}": content for name, content in FLOWERS.items()})
    assert {e.split for e in examples(path, format="image-folder")} == {"train"}


def test_a_folder_around_all_classes(tmp_path):
    """As archives leave it when they are unpacked."""
    write(tmp_path, {f"flowers/images/{name}": content for name, content in FLOWERS.items()})
    assert [e.label for e in examples(tmp_path, format="image-folder")] == ["rose", "rose", "tulip"]
    (write(tmp_path / "more", {f"flowers/{name}": content for name, content in FLOWERS.items()}) / "flowers/x").mkdir()
    fails(tmp_path / "more", "/flowers/x: holds no images", format="image-folder")


@pytest.mark.parametrize("empty", ["violet", "violet/deep"])
def test_an_empty_class_folder(tmp_path, empty):
    (write(tmp_path, FLOWERS) / empty).mkdir(parents=True)
    fails(tmp_path, "/violet: holds no images: fill or remove it", format="image-folder")


def test_an_empty_split_or_class_of_a_split(tmp_path):
    (write(tmp_path / "train", FLOWERS).parent / "test").mkdir()
    fails(tmp_path, "/test: holds no images", format="image-folder")
    write(tmp_path, {"test/rose/1.png": picture(), "test/tulip/notes.txt": "x"})
    fails(tmp_path, "/test/tulip: holds no images", format="image-folder")


def test_pictures_that_cannot_be_used(tmp_path):
    write(tmp_path, FLOWERS)
    write(
        tmp_path,
        {
            "rose/empty.png": b"",
            "rose/cut.jpg": picture("JPEG")[:-600],
            "rose/huge.png": bomb(30_000, 30_000),
            "rose/notes.txt": "x",
            "top.png": picture(),
        },
    )
    assert refused(tmp_path, format="image-folder") == {
        "is empty": "rose/empty.png",
        "is not a readable PNG, JPEG or WebP image": "rose/cut.jpg",
        "has too many pixels (limit 100,000,000)": "rose/huge.png",
        "not a PNG, JPEG or WebP file": "rose/notes.txt",
        "lies in no class folder": "top.png",
    }


def test_check_and_decode_agree():
    """Whatever bytes are damaged: what check lets pass, decode can read."""
    spec = images.ImageSpec(height=8, width=8, colour="rgb", resize="exact", margin=0, background="black")
    exif = Image.Exif()
    exif[0x0112] = 6
    random = np.random.default_rng(0)
    for good in (picture(), picture("JPEG", exif=exif), picture("JPEG", progressive=True), picture("WEBP")):
        assert images.check(good) is None
        for _ in range(200):
            bad = np.frombuffer(good, np.uint8).copy()
            bad[random.integers(0, len(bad), 2)] = random.integers(0, 256, 2)
            if images.check(bad.tobytes()) is None:
                images.decode(bad.tobytes(), spec, "x")
    assert images.check(bomb(12_000, 10_000)) == "has too many pixels (limit 100,000,000)"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_cut_short_is_caught(form):
    good = picture(form)
    for length in range(0, len(good) - 20, 37):
        assert images.check(good[:length])
