"""Image files as arrays, and what is measured on the training split."""

import io
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.config import paths
from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.encoding import images
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import Classification

SETTINGS = ImagePreprocessing(height=6, width=5, colour="rgb", resize="exact", margin=2)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write(split: str, pictures: list[np.ndarray], labels: list[str]) -> None:
    paths.PREPARED.mkdir(parents=True, exist_ok=True)
    ids = [f"{i:032}" for i in range(len(pictures))]
    columns = {"id": ids, "image": [png(picture) for picture in pictures], "label": labels}
    pq.write_table(pa.table(columns), paths.prepared(split))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("side", [6, 120])
def test_arrays_of_small_and_of_large_files(side):
    """Those decode in threads; the order stays, and no thread changes which warnings the process shows."""
    pictures = list(np.random.default_rng(0).integers(0, 256, (20, side, side, 3), np.uint8))
    for split in ("train", "validation", "test"):
        write(split, pictures, ["b", "a"] * 10)
    filters = list(warnings.filters)
    inputs, _, summary = images.write(SETTINGS)
    assert warnings.filters == filters
    assert (inputs.shape, summary) == ((6, 5, 3), "images of 6 x 5 x 3")
    task = Classification.encode(inputs, {})
    assert task.labels == ("a", "b")
    assert task.counts == (10, 10)
    assert np.load("data/features/train/images.npy").shape == (20, 8, 7, 3)  # with the margin
    test = np.load("data/features/test/images.npy")
    assert test.shape == (20, 6, 5, 3)
    one_by_one = list(images.decoded([(png(picture), "x") for picture in pictures], SETTINGS.spec, 0))
    np.testing.assert_array_equal(test, one_by_one)
    assert np.load("data/features/test/targets.npy").tolist() == [1, 0] * 10


def test_moments_are_numpys():
    pixels = np.random.default_rng(0).integers(0, 256, (2_300, 3, 2, 3), np.uint8)
    mean, std = images.moments(pixels)
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 1, 2)) / 255, rtol=1e-9)


def test_a_channel_that_never_changes_stays_at_zero():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 3, 2, 3), np.uint8)
    pixels[..., 1] = 7
    mean, std = images.moments(pixels)
    assert (7 / 255 - mean[1]) / std[1] == 0


def test_nothing_to_learn_from_a_single_colour():
    with pytest.raises(UserError, match="all training images are of one colour"):
        images.moments(np.full((10, 3, 2, 3), 7, np.uint8))
