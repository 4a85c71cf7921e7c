"""Tables of image files -> uint8 pixels, n h w c. Training images keep a margin, to be cropped at random."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pipeline.config import paths
from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.encoding import tables
from pipeline.examples.inputs import Images
from pipeline.runtime import strict_json
from pipeline.runtime.encoders.images import decode
from pipeline.runtime.encoders.specs import ImageSpec
from pipeline.runtime.errors import UserError

LARGE_FILE = 20_000  # bytes
BLOCK = 256  # files decoded together


def write(settings: ImagePreprocessing) -> tuple[Images, dict[str, Any], str]:
    """Writes the arrays of every split; returns what was learnt of the images, figures for the report, and a
    summary.
    """
    spec = settings.spec
    for split in tables.splits():
        tables.save(split, ids=tables.ids(split))
        margin = spec.margin if split == "train" else 0
        shape = (tables.rows(split), spec.height + margin, spec.width + margin, spec.channels)
        files = zip(tables.column(split, "image"), tables.column(split, "id"))
        # Row by row, and not through a memory map: on a full disk, a memory map ends the process without a message.
        with open(paths.features(split) / "images.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for pixels in tables.progress(decoded(files, spec, margin), split):
                file.write(np.ascontiguousarray(pixels).data)
    strict_json.write(paths.IMAGE_SPEC, settings.model_dump())
    mean, std = moments(np.load(paths.features("train") / "images.npy", mmap_mode="r"))
    images = Images(settings=settings, mean=mean, std=std)
    return images, {}, f"images of {' x '.join(map(str, images.shape))}"


def decoded(files: Iterable[tuple[bytes, str]], spec: ImageSpec, margin: int) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """The pixels of each file, in order.

    Large files decode on all cores. For small ones threads would compete for the interpreter's lock, at half the speed.
    """
    files = iter(files)
    with ThreadPoolExecutor() as pool:
        while block := list(islice(files, BLOCK)):
            large = sum(len(file) for file, _ in block) > LARGE_FILE * len(block)
            yield from (pool.map if large else map)(lambda file: decode(file[0], spec, file[1], margin=margin), block)


def moments(inputs: UInt8[np.ndarray, "n h w c"]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all training pixels, in units of 0 to 1.

    Summed as integers, so that neither the order nor the number of threads matters.
    """
    size = inputs.shape[0] * inputs.shape[1] * inputs.shape[2]
    total = np.zeros(inputs.shape[-1], np.int64)
    squares = np.zeros(inputs.shape[-1], np.int64)
    for start in range(0, len(inputs), 1_000):
        block = np.asarray(inputs[start : start + 1_000], np.int64)  # n h w c
        total += block.sum(axis=(0, 1, 2))
        squares += (block * block).sum(axis=(0, 1, 2))
    mean = total / size
    variance = squares / size - mean**2
    if not variance.any():
        raise UserError("all training images are of one colour: there is nothing to learn from them")
    std = np.sqrt(np.where(variance > 0, variance, 1.0))  # a channel that never changes stays at zero
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
