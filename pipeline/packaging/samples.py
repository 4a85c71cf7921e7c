"""sample/: a few raw inputs of the test split. Their answers, in expected.json, come from evaluate's predictions."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.runtime.encoders import images

SAMPLES = 3


def raw_inputs(folder: Path) -> list[dict[str, Any]]:
    """The first test examples: the name of a file that is written to `folder`, a text, or the words of a sentence."""
    table = pq.ParquetFile(paths.prepared("test"))
    samples: list[dict[str, Any]] = []
    for i, row in enumerate(next(table.iter_batches(batch_size=SAMPLES)).to_pylist()):
        if "image" in row:
            content = images.portable(row["image"])
            name = f"{i}.{images.suffix(content)}"
            (folder / name).write_bytes(content)
            samples.append({"file": name})
        elif "words" in row:
            samples.append({"words": row["words"]})
        else:
            samples.append({"text": row["text"]})
    return samples
