"""What the prepared data is like: splits, labels, lengths or sizes, what was left out, and some examples.

    python -m pipeline describe

It reads data/prepared, and writes a page of examples to logs/examples.html.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.inspection import figures, page
from pipeline.inspection.sample import Observation, label_text, observe, one_line
from pipeline.readers import Example
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS

REPORT, PAGE = paths.PREPARED / "report.json", paths.LOGS / "examples.html"
LOOKED_AT = 20_000  # examples of a split: the first ones
PRINTED, ON_PAGE = 2, 24  # examples of a split; pictures are on the page alone
BATCH = 256  # rows in memory: they may hold pictures


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m pipeline describe", description=(__doc__ or "").partition("\n")[0]
    ).parse_args()
    if not REPORT.exists():
        raise UserError(f"{REPORT}: no such file: run `dvc repro prepare` first")
    report: Any = strict_json.read(REPORT)
    word = TASKS[report["task"]].class_word if report["task"] in TASKS else ""
    print(f"{report['data']['source']}: {report['data']['format']}, for {report['task']}")
    groups: list[page.Group] = []
    for split in (name for name in paths.SPLITS if paths.prepared(name).exists()):
        picked = set(chosen(pq.read_metadata(paths.prepared(split)).num_rows))
        seen: list[Observation] = []
        shown: list[Example] = []
        for row, example in enumerate(examples(paths.prepared(split))):
            seen.append(observe(example, look_inside=row in picked))
            if row in picked:
                shown.append(example)
        print(*split_lines(split, report["splits"][split], seen, word), sep="\n")
        for example in shown[:PRINTED] if not seen[0].picture else ():
            print(f"    {one_line(example, observe(example))}")
        captions = [(_caption(example), example) for example in shown]
        groups.append(page.Group(f"{split}: {len(shown)} of {report['splits'][split]['examples']:,}", captions))
    for what in ("dropped", "kept_in_train", "refused"):
        reasons = {reason: (one["count"], one["examples"][0]) for reason, one in report[what].items()}
        name = what.replace("_", " ")
        print(*([f"{name} {line}" for line in figures.left_out(reasons)] or [f"{name}: none"]), sep="\n")
    page.write(PAGE, f"Examples of {report['data']['source']}", "Picked at random from each split.", groups)
    print(f"{PAGE}: {sum(len(group.examples) for group in groups)} examples, to open in a browser")


def chosen(rows: int) -> list[int]:
    """The rows that are shown, always the same ones for a table of this length."""
    within = min(rows, LOOKED_AT)
    return random.Random(rows).sample(range(within), min(ON_PAGE, within))


def examples(table: Path) -> Iterator[Example]:
    """The first examples of a split's table."""
    file, left = pq.ParquetFile(table), LOOKED_AT
    for batch in file.iter_batches(BATCH):
        for row in batch.to_pylist()[:left]:
            left -= 1
            _, content, label, source, *_ = row.values()
            yield Example(source, _frozen(content), _frozen(label))
        if left <= 0:
            return


def split_lines(split: str, report: Any, seen: list[Observation], word: str) -> list[str]:
    """Size, labels and lengths of a split. The report counts the labels of all its examples."""
    lines = [f"{split}: {report['examples']:,} examples"]
    if word and report["labels"]:
        lines.append(f"  {figures.balance(report['labels'], word)}")
    else:
        lines += [f"  {line}" for line in figures.numbers(seen)]
    note = f" (of the first {LOOKED_AT:,})" if report["examples"] > LOOKED_AT else ""
    return [*lines, f"  {figures.sizes(seen)}{note}"]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _caption(example: Example) -> str:
    return "" if isinstance(example.content, tuple) else label_text(example.label)
