"""`dvc repro` where nothing changed, beside bare DVC on five empty stages with as many dependencies.

python -m benchmarks.stages.unchanged [--rounds 3]
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.alone import run
from benchmarks.row import Options, Row, in_turns, output
from benchmarks.stages import clone

MORE = 3  # times as many rounds as benchmarks that take longer


def empty(folder: Path) -> Path:
    """A repository whose stages do nothing, each after the one before it, and have as many dependencies as ours."""
    stages = YAML(typ="safe").load((clone.TOP / "dvc.yaml").read_text())["stages"]
    written = {}
    for number, (name, stage) in enumerate(stages.items()):
        deps = [f"{name}/{n}" for n in range(len(stage["deps"]) - bool(number))]
        for dep in deps:
            (folder / dep).parent.mkdir(parents=True, exist_ok=True)
            (folder / dep).write_text(dep)
        after = [f"out/{number - 1}"] if number else []
        written[name] = {"cmd": f"touch out/{number}", "deps": deps + after, "outs": [f"out/{number}"]}
    (folder / "out").mkdir()
    with (folder / "dvc.yaml").open("w") as file:
        YAML(typ="safe").dump({"stages": written}, file)
    quiet = "dvc config core.analytics false"  # as here: else each run starts a process that reports it
    for command in ("git init -q", "dvc init -q", quiet, "dvc repro -q", "git add -A", "git commit -q -m run"):
        output(*command.split(), cwd=folder, env=clone.environment(folder))
    return folder


def rows(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["dvc", "repro"]
        ours = partial(clone.seconds_of, command, clone.finished(quick=options.quick).folder)
        theirs = partial(clone.seconds_of, command, empty(Path(folder) / "empty"))
        yield in_turns(
            "dvc repro where nothing changed",
            "s",
            {"": ours},
            {"bare DVC, five empty stages": theirs},
            rounds=options.rounds if options.quick else MORE * options.rounds,
            same="five stages with as many dependencies",
        )


if __name__ == "__main__":
    run(rows, __doc__)
