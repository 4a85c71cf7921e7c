"""Stage 1: any source -> one canonical Parquet table per split (id, content, label), and report.json.

An example's id is the hash of its own content. Examples are written down as they are read, and sorted into their splits
when all have been seen: only their hashes stay in memory.
"""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import NonNegativeInt
from tqdm import tqdm

from pipeline.config import paths
from pipeline.config.params import Key, StageParams
from pipeline.readers import Example, Reader, Refused, files, split
from pipeline.readers.split import Row, Split
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.stages.stage_files import Inputs

COLUMNS = {  # the column of each kind of content, its type, and that of the label
    bytes: ("image", pa.binary(), pa.string()),
    str: ("text", pa.string(), pa.string()),
    tuple: ("words", pa.list_(pa.string()), pa.list_(pa.string())),
}
ONE_A_FILE = ("image-folder", "mail", "text")  # readers to which each file is an example: their number is known
ROWS = 5_000  # rows held in memory, and rows of a row group
ROW_BYTES = 32 << 20  # or so much content
SHOWN = 5  # examples of each reason in the report


class Params(StageParams):
    task: Annotated[str, Key("datasets.{dataset}.task")]
    reader: Annotated[Reader, Key("datasets.{dataset}.reader")]
    source: Annotated[str, Key("datasets.{dataset}.source")]
    split: Annotated[Split, Key("datasets.{dataset}.split")]
    max_bad_rows: Annotated[NonNegativeInt, Key("datasets.{dataset}.max_bad_rows")]


class Table:
    """A Parquet file, written row group by row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        # PNG and JPEG are compressed already.
        compression = "none" if schema.names[1] == "image" else "zstd"
        self.schema, self.writer = schema, pq.ParquetWriter(path, schema, compression=compression)
        self.rows: list[dict[str, Any]] = []
        self.bytes = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        self.rows.append(row)
        self.bytes += size
        if len(self.rows) >= ROWS or self.bytes >= ROW_BYTES:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
            self.rows, self.bytes = [], 0

    def close(self) -> None:
        self.flush()
        self.writer.close()


class Reasons:
    """How often something was left out, why, and where the first few stood."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, list[str]] = {}

    def add(self, where: str, reason: str) -> None:
        self.counts[reason] += 1
        shown = self.first.setdefault(reason, [])
        if len(shown) < SHOWN:
            shown.append(where)

    def summary(self) -> dict[str, Any]:
        return {reason: {"count": n, "examples": self.first[reason]} for reason, n in sorted(self.counts.items())}


def main(params: Params, inputs: Inputs) -> None:
    source = Path(params.source)
    if paths.RAW not in source.parents or ".." in source.parts:
        watched = f"{paths.RAW}/, the folder that DVC watches"
        raise UserError(f"datasets.*.source: {source} is not inside {watched}: move or link it there")
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; it is the `source` of the chosen dataset in {paths.PARAMS}")
    verify(source)
    paths.PREPARED.mkdir(parents=True, exist_ok=True)
    spool = paths.PREPARED / "spool.parquet"
    refused, dropped = Reasons(), Reasons()
    total = files.count(source) if params.reader.name in ONE_A_FILE else None
    rows, where = write_down(params.reader.read(source), spool, refused, total=total)
    placed = split.assign(rows, params.split)
    for at, (name, reason) in zip(where, placed):
        if name is None:
            dropped.add(at, reason)
    counts = sort_out(spool, rows, [name for name, _ in placed])
    spool.unlink(missing_ok=True)
    report(counts, dropped, refused, params)


def write_down(
    examples: Iterable[Example | Refused], spool: Path, refused: Reasons, *, total: int | None
) -> tuple[list[Row], list[str]]:
    """Writes the examples to `spool`, in order; returns what places each, and where it came from. Of `total` examples,
    where their number is known, the terminal shows how many are left.
    """
    rows: list[Row] = []
    where: list[str] = []
    table: Table | None = None
    for item in tqdm(examples, desc="prepare", total=total, unit=" examples", disable=None):
        if isinstance(item, Refused):
            refused.add(item.where, item.reason)
            continue
        column, content, label = COLUMNS[type(item.content)]
        table = table or Table(spool, pa.schema([("id", pa.string()), (column, content), ("label", label)]))
        rows.append(split.row(item))
        where.append(item.where)
        size = len(item.content) if isinstance(item.content, bytes | str) else 10 * len(item.content)
        table.add({"id": rows[-1].identity, column: item.content, "label": item.label}, size)
    if table:
        table.close()
    return rows, where


def sort_out(spool: Path, rows: list[Row], placed: list[str | None]) -> dict[str, Counter[str]]:
    """The spooled examples -> a table for each split that has any; returns the labels of each split, counted."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in paths.SPLITS}
    if not rows:
        return counts
    file = pq.ParquetFile(spool)
    tables: dict[str, Table] = {}
    at = iter(placed)
    for name in paths.SPLITS:
        (paths.PREPARED / f"{name}.parquet").unlink(missing_ok=True)
    for row in _rows(file):
        name = next(at)
        if name is None:
            continue
        if name not in tables:
            tables[name] = Table(paths.PREPARED / f"{name}.parquet", file.schema_arrow)
        content = row[file.schema_arrow.names[1]]
        tables[name].add(row, len(content) if isinstance(content, bytes | str) else 10 * len(content))
        label = row["label"]
        counts[name].update([label] if isinstance(label, str) else label)
    for table in tables.values():
        table.close()
    return counts


def _rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for group in range(file.num_row_groups):  # iter_batches would read several ahead
        for batch in file.read_row_group(group).to_batches(max_chunksize=100):
            yield from batch.to_pylist()


def verify(source: Path) -> None:
    """Holds each file to SHA256SUMS in the source, if there is one: the sha256 of the file's decompressed content."""
    sums = source / "SHA256SUMS"
    if not sums.exists():
        return
    for row, line in enumerate(sums.read_text(encoding="utf-8").splitlines(), start=1):
        expected, _, name = line.partition("  ")
        packed = source / f"{name}.gz"
        path = packed if packed.exists() else source / name
        try:
            with gzip.open(path) if path == packed else path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"{path}: cannot be read ({reason}); it is listed in {sums} row {row}: fetch it again"
            ) from error
        if found != expected:
            raise UserError(
                f"{path}: the sha256 of its content is {found[:16]}..., {sums} row {row} says {expected[:16]}...: "
                "fetch it again, or mend that row if you changed the data on purpose"
            )


def report(counts: dict[str, Counter[str]], dropped: Reasons, refused: Reasons, params: Params) -> None:
    """Writes report.json and prints its gist. Raises UserError where too much was refused, a split is empty, or has
    labels that training lacks.
    """
    examples = {
        name: pq.read_metadata(path).num_rows
        for name in paths.SPLITS
        if (path := paths.PREPARED / f"{name}.parquet").exists()
    }
    strict_json.write(
        paths.PREPARED / "report.json",
        {
            "source": params.source,
            "splits": {
                name: {"examples": n, "labels": dict(sorted(counts[name].items()))} for name, n in examples.items()
            },
            "dropped": dropped.summary(),
            "refused": refused.summary(),
        },
    )
    bad = refused.counts.total()
    if bad > params.max_bad_rows:
        reason, places = next(iter(refused.first.items()))
        total = f"{bad:,} rows or files" if bad > 1 else "one row or file"
        raise UserError(
            f"{places[0]}: {reason}; {total} cannot be used, and max_bad_rows allows {params.max_bad_rows}: mend what "
            f"{paths.PREPARED / 'report.json'} lists, or raise datasets.*.max_bad_rows"
        )
    for name in ("train", "validation", "test"):
        if name not in examples:
            cure = f"set or raise datasets.*.split.{name}" if name != "train" else "it needs more examples"
            raise UserError(f"{params.source}: no example is left for the {name} split; {cure}")
    train = counts["train"]
    labelled = params.task != "language-modelling"
    if labelled and len(train) < 2:
        raise UserError(
            f"{params.source}: every training example has the label {next(iter(train))!r}; it takes two classes"
        )
    tagged = pq.read_schema(paths.PREPARED / "train.parquet").names[1] == "words"
    for name in examples if labelled else ():
        for label in sorted(counts[name].keys() - train.keys()):
            if not tagged:
                raise UserError(
                    f"{params.source}: the {name} split has the label {label!r}, which training lacks: add training "
                    "examples of it, or remove those"
                )
            print(f"note: the {name} split has the tag {label!r}, which training lacks: it will count as an error")
    print(f"{params.source}: " + ", ".join(f"{n:,} {name}" for name, n in examples.items()), end="")
    print(f"; {len(train)} {'tags' if tagged else 'classes'}" if labelled else "", end="")
    print(f"; {dropped.counts.total():,} duplicates dropped", end="")
    print(f"; {bad:,} refused" if bad else "")
