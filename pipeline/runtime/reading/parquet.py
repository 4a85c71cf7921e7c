"""The rows of a Parquet file. Needs pyarrow, which no package asks for: only reading this format does."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import UserError
from . import files

SHORT = {pa.float16(): np.float16, pa.float32(): np.float32}
ROWS = 256  # in memory at a time: they may hold pictures


def columns(entry: files.Entry) -> list[str]:
    with _table(entry) as table:
        return list(table.schema_arrow.names)


def read(entry: files.Entry, wanted: list[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """As table_rows.read, which has checked the columns."""
    number = 0
    with _table(entry) as table:
        schema = table.schema_arrow
        classes = {name: names for name, names in _class_labels(schema).items() if name in wanted}
        short = {name: SHORT[kind] for name in wanted if (kind := schema.field(name).type) in SHORT}
        for batch in table.iter_batches(ROWS, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                try:
                    row |= {name: _named(row[name], names) for name, names in classes.items()}
                except IndexError:
                    yield number, "its label has no name in the table's schema"
                    continue
                for name, kind in short.items():  # 0.1 in 32 bits would be 0.10000000149
                    row[name] = None if row[name] is None else float(str(kind(row[name])))
                yield number, row


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The class names of each column of class numbers, which Hugging Face's `datasets` writes into a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
    except (KeyError, ValueError, TypeError, AttributeError):  # no such schema
        return {}
    found: dict[str, list[str]] = {}
    for name, feature in features:
        one = feature.get("feature", feature) if isinstance(feature, dict) else feature
        one = one[0] if isinstance(one, list) and one else one  # another way to write a list of classes
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and isinstance(one.get("names"), list):
            found[name] = one["names"]
    return found


def _named(value: Any, names: Sequence[str]) -> Any:
    """The class of a number, or of each in a list; None for -1, which stands for a hidden label. Raises IndexError."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if not isinstance(value, int):
        return value
    return names[value] if value >= 0 else None


@contextmanager
def _table(entry: files.Entry) -> Iterator[pq.ParquetFile]:
    """A Parquet file, open. Raises UserError where it is damaged."""
    try:
        with files.reading(entry.where):
            # Parquet is read from its end: a stream must be unpacked first.
            plain = entry.path is not None and not entry.path.name.lower().endswith(".gz")
            file = entry.open() if plain else io.BytesIO(files.read(entry))
            with file, pq.ParquetFile(file) as table:
                yield table
    except pa.ArrowException as error:  # those that are neither ValueError nor OSError
        reason = " ".join(str(error).split())
        raise UserError(f"{entry.where}: cannot be read ({reason}); fetch it again") from error
