"""Stage 1: any source -> one canonical Parquet table per split (id, image, label), and report.json.

An example's id is the sha256 of its own content. Held-out splits that the source does not have are chosen by that id:
duplicates never straddle a split, and adding rows never moves old ones.
"""

import gzip
import hashlib
import zlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline import check, errors, paths, strict_json
from pipeline.datasets import Split
from pipeline.errors import UserError
from pipeline.params import Key, StageParams
from pipeline.readers import READERS, Example

SCHEMA = pa.schema([("id", pa.string()), ("image", pa.binary()), ("label", pa.string())])
ROWS = 5_000  # rows held in memory, and rows of a row group


class Params(StageParams):
    reader: Annotated[str, Key("datasets.{dataset}.reader")]
    source: Annotated[str, Key("datasets.{dataset}.source")]
    split: Annotated[Split, Key("datasets.{dataset}.split")]


class Table:
    """A split's Parquet file, written row group by row group."""

    def __init__(self, path: Path) -> None:
        self.writer = pq.ParquetWriter(path, SCHEMA, compression="none")  # PNG and JPEG are compressed already
        self.rows: list[dict[str, object]] = []
        self.classes: Counter[str] = Counter()

    def add(self, identity: str, example: Example) -> None:
        self.rows.append({"id": identity, "image": example.content, "label": example.label})
        self.classes[example.label] += 1
        if len(self.rows) == ROWS:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, SCHEMA))
            self.rows = []

    def close(self) -> None:
        self.flush()
        self.writer.close()


def main() -> None:
    check.params()
    params = Params.load()
    source = Path(params.source)
    if paths.RAW not in source.parents:
        watched = f"{paths.RAW}/, the folder that DVC watches"
        raise UserError(f"datasets.*.source: {source} is not inside {watched}: move or link it there")
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; it is the `source` of the chosen dataset in {paths.PARAMS}")
    verify(source)
    paths.PREPARED.mkdir(parents=True, exist_ok=True)
    tables = {split: Table(paths.PREPARED / f"{split}.parquet") for split in paths.SPLITS}
    dropped: Counter[str] = Counter()
    seen: dict[str, str] = {}
    own_test = False
    for example in tqdm(READERS[params.reader](source), desc="prepare", unit=" examples", disable=None):
        identity = hashlib.sha256(example.key).hexdigest()[:32]
        own_test |= example.split == "test"
        if identity in seen:
            dropped[f"{example.split or 'example'} that is already in {seen[identity]}"] += 1
            continue
        seen[identity] = split = choose_split(identity, example.split, params.split, own_test=own_test)
        tables[split].add(identity, example)
    for table in tables.values():
        table.close()
    report(tables, dropped, params)


def choose_split(identity: str, given: str | None, split: Split, *, own_test: bool) -> str:
    """The split of an example: what the source says, but for what is held out of its training part by hash."""
    if given in ("validation", "test"):
        return given
    share = int(identity[:16], 16) / 2**64
    if share < split.validation:
        return "validation"
    if not own_test and share < split.validation + (split.test or 0):
        return "test"
    return "train"


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


def report(tables: dict[str, Table], dropped: Counter[str], params: Params) -> None:
    """Writes report.json and prints its gist. Raises UserError where a split is empty or has too few classes."""
    counts = {split: sum(table.classes.values()) for split, table in tables.items()}
    for split, count in counts.items():
        if not count:
            cure = f"raise datasets.*.split.{split}" if split != "train" else f"look at {params.source}"
            raise UserError(f"{params.source}: no example is left for the {split} split; {cure}")
    train = tables["train"].classes
    if len(train) < 2:
        raise UserError(
            f"{params.source}: every training example has the label {next(iter(train))!r}; it takes two classes"
        )
    for split, table in tables.items():
        for label in table.classes:
            if label not in train:
                raise UserError(f"{params.source}: the {split} split has the label {label!r}, which training lacks")
    strict_json.write(
        paths.PREPARED / "report.json",
        {
            "source": params.source,
            "splits": {
                split: {"examples": counts[split], "classes": dict(sorted(table.classes.items()))}
                for split, table in tables.items()
            },
            "dropped": dict(sorted(dropped.items())),
        },
    )
    print(f"{params.source}: " + ", ".join(f"{count:,} {split}" for split, count in counts.items()), end="")
    print(f"; {len(train)} classes; {sum(dropped.values()):,} duplicates dropped")


if __name__ == "__main__":
    errors.run(main)
