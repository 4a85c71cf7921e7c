"""Looks at a file, folder or archive under data/raw, and writes the section of params.yaml that fits it:

    python -m pipeline add data/raw/reviews.csv

It says what it found and shows the section before it writes. Where more than one column could be meant it asks, or,
with nobody to ask, names the flag that chooses.
"""

import argparse
import os
import shlex
import subprocess
from pathlib import Path

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.inspection import proposal, questions, section
from pipeline.inspection.roles import Given
from pipeline.readers import raw_data
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS


def main() -> None:
    arguments = parsed()
    source = inside_raw(arguments.path)
    name = arguments.name or section.name_for(source)
    section.check_name(name)
    raw_data.check(source, name)
    given = Given(
        text=arguments.text,
        image=arguments.image,
        label=arguments.label,
        labels=tuple(arguments.labels) if arguments.labels else None,
        separator=arguments.separator,
        targets=tuple(arguments.targets) if arguments.targets else None,
        split=arguments.split,
        group=arguments.group,
        encoding=arguments.encoding,
    )
    models = yaml.look_up(yaml.read(), "models")
    found = proposal.propose(
        source, name, given, questions.choose, task=arguments.task, bad_rows=arguments.max_bad_rows, models=models
    )
    print(*found.lines, *(f"note: {problem}" for problem in found.problems), sep="\n")
    print(f"\nin {paths.PARAMS}, under datasets:\n\n{section.render(name, found.section)}")
    if arguments.dry:
        print("nothing is written (--dry)")
        return
    if not arguments.yes and not questions.agreed(f"write it to {paths.PARAMS}?"):
        print("nothing is written")
        return
    section.write(name, found.section)
    print(f"written; next:\n\n{next_commands(source, name, found)}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline add",
        description="Looks at data under data/raw and writes the section of params.yaml that fits it.",
    )
    parser.add_argument("path", type=Path, help="a file, folder or archive under data/raw")
    parser.add_argument("--name", help="name of the section (default: from the file's name)")
    parser.add_argument("--task", choices=TASKS, help="what to learn (default: what the data suggests)")
    parser.add_argument("--text", metavar="COLUMN", help="the input: a column of texts")
    parser.add_argument("--image", metavar="COLUMN", help="the input: a column of images or their paths")
    learnt = parser.add_mutually_exclusive_group()
    learnt.add_argument("--label", metavar="COLUMN", help="one label for each row")
    learnt.add_argument(
        "--labels",
        metavar="COLUMN",
        nargs="+",
        help="several labels for each row: a column that lists them, or a column of 0 and 1 for each",
    )
    learnt.add_argument("--targets", metavar="COLUMN", nargs="+", help="numbers to predict: one column or several")
    parser.add_argument("--separator", help="what separates the labels in a cell")
    parser.add_argument("--split", metavar="COLUMN", help="a column that says train, validation, test or shifted")
    parser.add_argument("--group", metavar="COLUMN", help="rows with the same value stay in one split")
    parser.add_argument("--encoding", help="encoding of texts that are not Unicode, such as cp1252")
    parser.add_argument("--max-bad-rows", type=int, default=0, help="how many unusable rows or files to tolerate")
    parser.add_argument("--dry", action="store_true", help="only show the section")
    parser.add_argument("--yes", action="store_true", help="write it without asking")
    arguments = parser.parse_args()
    if arguments.separator is not None and len(arguments.labels or ()) != 1:
        parser.error("--separator needs --labels with one column")
    return arguments


def inside_raw(path: Path) -> Path:
    """The path from here. Raises UserError where it is not inside data/raw."""
    source = Path(os.path.relpath(path))
    if paths.RAW in source.parents:
        return source
    if source == paths.RAW:
        raise UserError(f"{source}: name one file or folder in it: each is a dataset of its own")
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; put it into {paths.RAW}/")
    target = paths.RAW / source.name
    raise UserError(
        f"{source} is not inside {paths.RAW}/, the folder that DVC watches: "
        f"cp -r {shlex.quote(str(source))} {paths.RAW}/, then python -m pipeline add {shlex.quote(str(target))}"
    )


def next_commands(source: Path, name: str, found: proposal.Proposal) -> str:
    """What to type next: tracking the data, unless git or DVC does that already, and the run."""
    settings = (f"dataset={name}", f"model={found.model}", *found.overrides)
    run = f"  dvc exp run {' '.join(f'-S {setting}' for setting in settings)}"
    if is_tracked(source):
        return run
    size = sum(file.stat().st_size for file in (source.rglob("*") if source.is_dir() else (source,)) if file.is_file())
    tool = "dvc add" if size > raw_data.LARGE else "git add"
    return f"  {tool} {shlex.quote(str(source))}\n{run}"


def is_tracked(source: Path) -> bool:
    """Whether git or DVC keeps the source: experiments in a queue, and clones, see nothing else."""
    kept = source.with_name(f"{source.name}.dvc").exists()
    listed = subprocess.run(["git", "ls-files", "--", str(source)], capture_output=True, text=True)
    return kept or bool(listed.stdout.strip())
