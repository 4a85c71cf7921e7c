"""The house: each folder stands on those below it, nothing imports upward, and no circle of imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from imports import TOP, closure, file_of, imported

from pipeline.tasks import TASKS

FLOORS = (  # from the ground up; folders of one floor do not import each other
    ("runtime",),
    ("config",),
    ("readers", "parallel"),
    ("examples",),
    ("encoding", "layers", "loaders"),
    ("models",),
    ("evaluation",),
    ("training", "packaging"),
    ("tasks",),
    ("stages", "inspection"),
    ("commands",),
)
FLOOR = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
FILES = sorted(path for path in (TOP / "pipeline").rglob("*.py"))
LINES, ROOMS = 300, 12  # of a file, at most; files of a folder, at most


def folder_of(path: Path) -> str | None:
    """The folder under pipeline/ that a file lies in, at any depth; None for those at the top."""
    parts = path.relative_to(TOP / "pipeline").parts
    return parts[0] if len(parts) > 1 else None


def arrows(path: Path) -> Iterator[Path]:
    """The project's files that a file imports."""
    names = {name for name in imported(path) if name.startswith("pipeline.")}
    # Where a package is only named on the way to a file in it, the arrow leads to that file.
    inside = {name.rpartition(".")[0] for name in names if file_of(name)}
    symbols = {name.rpartition(".")[0] for name in names if not file_of(name)}
    targets = {file_of(name) for name in names if name not in inside or name in symbols}
    yield from (other for other in targets if other is not None and other != path)


def test_every_folder_has_its_floor():
    assert {folder_of(path) for path in FILES} - {None} == set(FLOOR)


def test_nothing_imports_upward():
    wrong = []
    for path in FILES:
        own = folder_of(path)
        for other in arrows(path):
            theirs = folder_of(other)
            if own and theirs and own != theirs and FLOOR[theirs] >= FLOOR[own]:
                wrong.append(f"{path.relative_to(TOP)} imports {other.relative_to(TOP)}")
    assert not wrong


def test_no_circle():
    tuple(TopologicalSorter({path: set(arrows(path)) for path in FILES}).static_order())  # raises at a circle


def test_a_stage_imports_no_stage():
    stages = ("prepare", "preprocess", "train", "evaluate", "package")
    for stage in stages:
        others = {f"pipeline/stages/{other}.py" for other in stages if other != stage}
        assert not closure(f"pipeline.stages.{stage}") & others


def test_only_tasks_know_their_kinds():
    """No stage, command or training step asks which task it has: it asks the task, or its inputs."""
    classes = {task.__name__ for task in TASKS.values()}
    for path in FILES:
        if path.parent.name == "tasks" or path.name == "plan.py":  # plan is of language models alone
            continue
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not names & classes, path
        assert not texts & TASKS.keys(), path


def test_rooms_are_small():
    for path in [*FILES, *(TOP / "tests").rglob("*.py"), *(TOP / "benchmarks").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= LINES, path
    for folder in {path.parent for path in [*FILES, *(TOP / "tests").rglob("*.py")]}:
        files = [path for path in folder.iterdir() if path.is_file()]
        assert len(files) <= ROOMS, folder


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("pipeline.__main__", ("numpy", "jax", "pydantic")),
        ("pipeline.stages.runner", ("flax", "optax", "pandas")),
        ("pipeline.stages.prepare", ("flax", "optax", "pandas")),
        ("pipeline.stages.preprocess", ("flax", "optax")),
        ("pipeline.runtime.commands.predict", ("flax", "optax", "pandas", "ruamel", "pydantic", "PIL", "tokenizers")),
        ("pipeline.commands.checkpoints", ("jax", "flax", "optax")),
    ],
)
def test_a_start_loads_only_what_it_needs(module, without):
    code = f"import sys, {module}; print(*[name for name in {without!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_names_are_nouns_of_their_own():
    """No drawer for whatever fits nowhere else."""
    for path in FILES:
        assert path.stem not in ("utils", "common", "base", "manager", "helpers", "misc")


def test_every_file_says_what_it_holds():
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
