"""Stage 1: any source -> one canonical Parquet table for each split (id, content, label, source), report.json, and what
the source says of its licence, licences.json.

An example's id is the hash of its own content.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.config import paths
from pipeline.config.params import Key, StageParams
from pipeline.readers import Example, Reader, Refused, class_names, licences, raw_data, split, split_tables
from pipeline.readers.example import in_a_class
from pipeline.readers.keys import SOURCE_SPLITS, KeyTable
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import TASKS, TaskName

SHOWN = 5  # places of each reason in the report
REPORT, LICENCES = paths.PREPARED / "report.json", paths.PREPARED / "licences.json"


class Params(StageParams):
    task: Annotated[TaskName, Key("datasets.{dataset}.task.name")]
    data: Annotated[Reader, Key("datasets.{dataset}.data")]

    @property
    def source(self) -> str:
        return self.data.source


class LeftOut:
    """Why examples were left out, kept by an exception or changed: for each reason how many, and the first places."""

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
    source, data, learns = Path(params.source), params.data, TASKS[params.task].labels_are
    raw_data.check(source, inputs.dataset)
    paths.PREPARED.mkdir(parents=True, exist_ok=True)
    spool = paths.PREPARED / "spool.parquet"
    others = {name: LeftOut() for name in ("dropped", "kept_in_train", "refused", "unlabelled", "changed")}
    items = read(params, others["changed"])
    keys, hidden = split_tables.write_spool(items, spool, others["refused"].add, data.duplicates)
    for item in split.settle(hidden, keys):
        others["unlabelled" if item.reason in split.NO_SPLIT else "refused"].add(item.where, item.reason)
    placements = split.assign(keys, validation=data.validation, test=data.test, learns=learns, stratify=data.stratify)
    rows = np.flatnonzero(placements.reason_numbers)
    for row, where in zip(rows.tolist(), split_tables.sources(spool, rows)):
        others[group(placements[row])].add(where, placements[row].reason)
    labels = split_tables.sort_spool(spool, placements.splits)
    sizes = {
        name: pq.read_metadata(paths.prepared(name)).num_rows for name in paths.SPLITS if paths.prepared(name).exists()
    }
    write_report(params, sizes, labels, others)
    strict_json.write(LICENCES, licences.read(source))
    check(params, inputs.dataset, sizes, others["refused"], others["kept_in_train"], keys)
    for note in notes(params, labels, others):
        print(f"note: {note}")
    TASKS[params.task].check_labels(params.source, labels)
    print(summary(params, sizes, labels, others))


def read(params: Params, changed: LeftOut) -> Iterator[Example | Refused]:
    """What the reader yields; examples that it changed are counted."""
    total = files.count(Path(params.source)) if params.data.one_per_file else None
    in_classes = TASKS[params.task].learns_one_label() and params.data.one_per_file
    for item in tqdm(params.data.read(), desc="prepare", total=total, unit=" examples", disable=None):
        if isinstance(item, Example) and item.changed:
            changed.add(item.where, item.changed)
        yield in_a_class(item) if in_classes else item


def group(placement: split.Placement) -> str:
    """Where the report counts an example that is dropped, or trained on by an exception."""
    if placement.split is not None:
        return "kept_in_train"
    return "unlabelled" if placement.reason in split.NO_SPLIT else "dropped"


def notes(params: Params, labels: dict[str, Counter[str]], others: dict[str, LeftOut]) -> Iterator[str]:
    """What may surprise, or looks like a mistake in the data."""
    unlabelled, changed, word = others["unlabelled"], others["changed"], TASKS[params.task].class_word
    for reason, count in unlabelled.counts.items():
        yield f"{reason}: {count:,} left out, such as {unlabelled.first[reason][0]}; the others are split instead"
    for reason, count in changed.counts.items():
        yield f"{reason}: {count:,} changed, such as {changed.first[reason][0]}"
    if alike := class_names.note((name for one in labels.values() for name in one), word):
        yield alike
    if missing := class_names.missing(sum(labels.values(), Counter()), word):
        yield missing


def unseen_labels(labels: dict[str, Counter[str]], name: str) -> dict[str, int]:
    """The labels of a split that training lacks, and how often each occurs."""
    return {label: labels[name][label] for label in sorted(labels[name].keys() - labels["train"].keys())}


def write_report(
    params: Params, sizes: dict[str, int], labels: dict[str, Counter[str]], others: dict[str, LeftOut]
) -> None:
    """Writes report.json, whether or not the tables can be used."""
    splits: dict[str, Any] = {}
    for name, size in sizes.items():
        splits[name] = {"examples": size, "labels": dict(sorted(labels[name].items()))}
        if TASKS[params.task].labels_are and (unseen := unseen_labels(labels, name)):
            splits[name]["labels_that_training_lacks"] = unseen
    strict_json.write(
        REPORT,
        {
            "task": params.task,
            "data": params.data.model_dump(exclude_none=True),
            "splits": splits,
            **{name: places.summary() for name, places in others.items() if places.counts or name != "changed"},
        },
    )


def check(params: Params, dataset: str, sizes: dict[str, int], refused: LeftOut, kept: LeftOut, keys: KeyTable) -> None:
    """Raises UserError where too many rows or files were refused, or a split is empty."""
    bad = refused.counts.total()
    if bad > params.data.max_bad_rows:
        reason, places = next(iter(refused.first.items()))
        total = f"{bad:,} rows or files" if bad > 1 else "one row or file"
        raise UserError(
            f"{places[0]}: {reason}; {total} cannot be used, and max_bad_rows allows {params.data.max_bad_rows}: "
            f"correct what {REPORT} lists, or raise datasets.{dataset}.data.max_bad_rows"
        )
    if len(keys) and {SOURCE_SPLITS[place] for place in np.unique(keys.source_splits)} <= set(split.HELD_OUT):
        raise UserError(f"{params.source}: its names or cells hold out all of its examples: name some of them train")
    for name in ("train", "validation", "test"):
        if name not in sizes:
            ids, near_keys, split_keys = map(split.count_distinct, (keys.ids, keys.near_keys, keys.split_keys))
            if 2 * near_keys < ids:
                raise UserError(
                    f"{params.source}: no example is left for the {name} split: most differ only in case, digits or "
                    f"punctuation, and so stay together; set datasets.{dataset}.data.duplicates to exact"
                )
            if 2 * split_keys < near_keys:
                many = f"{split_keys:,} groups" if split_keys > 1 else "one group"
                raise UserError(
                    f"{params.source}: no example is left for the {name} split: all are in {many}, a file or what the "
                    "column `group` names, and no group is divided: make more of them, such as smaller files"
                )
            cure = "more examples are needed"
            if name != "train":
                cure = f"raise datasets.{dataset}.data.{name}"
                if kept.counts:
                    cure += ", or, if the labels are numbers to estimate, choose the task regression"
            raise UserError(f"{params.source}: no example is left for the {name} split; {cure}")


def summary(params: Params, sizes: dict[str, int], labels: dict[str, Counter[str]], others: dict[str, LeftOut]) -> str:
    """What prepare made, in a line."""
    what = TASKS[params.task].class_word
    dropped, kept, refused = (others[name].counts.total() for name in ("dropped", "kept_in_train", "refused"))
    parts = (
        f"{params.source}: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()),
        f"{len(labels['train'])} {what}" if what else "",
        f"{dropped:,} duplicates dropped",
        f"{kept:,} of rare classes kept in train" if kept else "",
        f"{refused:,} refused" if refused else "",
    )
    return "; ".join(filter(None, parts))
