"""Stage 2: tables -> arrays that map into memory, and all that inference needs; fitted on the training split only.

Writes, for each split, inputs.npy (uint8, n h w c), targets.npy (int32, n) and ids.npy; and task.json, which names
the labels in the order of the model's outputs and says what was measured on the training images.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from tqdm import tqdm

from pipeline import check, errors, images, paths, strict_json
from pipeline.errors import UserError
from pipeline.images import ImageSpec
from pipeline.params import Key, StageParams
from pipeline.tasks import ImageClassification

LARGE_FILE = 20_000  # bytes


class Params(StageParams):
    preprocessing: Annotated[ImageSpec, Key("datasets.{dataset}.preprocessing")]


def main() -> None:
    check.params()
    spec = Params.load().preprocessing
    labels = label_names(paths.PREPARED / "train.parquet")
    for split in paths.SPLITS:
        convert(split, labels, spec)
    mean, std = moments(np.load(paths.FEATURES / "train" / "inputs.npy", mmap_mode="r"))
    task = ImageClassification(name="image-classification", image=spec, labels=labels, mean=mean, std=std)
    strict_json.write(paths.FEATURES / "task.json", task.model_dump())
    print(f"{len(labels)} labels, images of {spec.height} x {spec.width} x {spec.channels}")


def label_names(table: Path) -> tuple[str, ...]:
    """The distinct labels of the table, sorted: their order numbers the model's outputs."""
    return tuple(sorted(pq.read_table(table, columns=["label"])["label"].unique().to_pylist()))


def convert(split: str, labels: tuple[str, ...], spec: ImageSpec) -> None:
    """Writes a split's arrays, one row group in memory at a time."""
    table = pq.ParquetFile(paths.PREPARED / f"{split}.parquet")
    rows = table.metadata.num_rows
    folder = paths.FEATURES / split
    folder.mkdir(parents=True, exist_ok=True)
    shape = (rows, spec.height, spec.width, spec.channels)
    inputs = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.uint8, shape)
    targets = np.zeros(rows, np.int32)
    ids = np.zeros(rows, "S32")
    number = {label: i for i, label in enumerate(labels)}
    row = 0
    with tqdm(total=rows, desc=f"preprocess {split}", unit=" images", disable=None) as progress:
        for batch in table.iter_batches(batch_size=1_000):
            for image, identity, label in decoded(batch, spec):
                inputs[row], ids[row], targets[row] = image, identity, number[label]
                row += 1
            progress.update(batch.num_rows)
    inputs.flush()
    np.save(folder / "targets.npy", targets)
    np.save(folder / "ids.npy", ids)


def decoded(batch: pa.RecordBatch, spec: ImageSpec) -> Iterator[tuple[UInt8[np.ndarray, "h w c"], bytes, str]]:
    """The examples of a record batch as pixels, id and label, in order.

    Large files decode on all cores; for small ones threads would fight over the interpreter's lock, at half the speed.
    """
    columns = batch.to_pydict()
    names, files = columns["id"], columns["image"]
    with ThreadPoolExecutor() as pool:
        large = sum(map(len, files)) > LARGE_FILE * len(files)
        pixels = (pool.map if large else map)(lambda file, name: images.decode(file, spec, name), files, names)
        yield from zip(pixels, (name.encode() for name in names), columns["label"])


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
    if not variance.all():
        raise UserError("all training images are of one colour: there is nothing to learn from them")
    return tuple((mean / 255).tolist()), tuple((np.sqrt(variance) / 255).tolist())


if __name__ == "__main__":
    errors.run(main)
