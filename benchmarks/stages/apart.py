"""The seconds of each stage and of comparing two runs, by themselves, and of what each stage loads before it works.

python -m benchmarks.stages.apart [--rounds 3]
"""

import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.alone import run
from benchmarks.row import Options, Row, in_turns
from benchmarks.stages import clone

STAGES = ("prepare", "preprocess", "train", "evaluate", "package")
NOTES = {"evaluate": "with the report", "package": "with the check of every test prediction"}


def rows(options: Options) -> Iterator[Row]:
    folder = clone.finished(quick=options.quick).folder
    python = partial(clone.seconds_of, folder=folder)
    command = [sys.executable, "-m", "pipeline", "compare", "HEAD", "workspace"]
    yield in_turns("compare of two runs", "s", {"": partial(python, command)}, rounds=options.rounds)
    for stage in () if options.quick else STAGES:  # they all ran when the clone was made
        command = [sys.executable, "-m", "pipeline", stage]
        ours = {"": partial(python, command)}
        yield in_turns(f"{stage} alone", "s", ours, rounds=options.rounds, same=NOTES.get(stage, ""))
    bare = {"import jax, flax": partial(python, [sys.executable, "-c", "import jax, flax"])}
    for stage in ("train",) if options.quick else STAGES:
        code = f"from pipeline.stages import runner; import pipeline.stages.{stage}"
        ours = {"": partial(python, [sys.executable, "-c", code])}
        yield in_turns(f"imports of {stage}", "s", ours, bare, rounds=options.rounds)


if __name__ == "__main__":
    run(rows, __doc__)
