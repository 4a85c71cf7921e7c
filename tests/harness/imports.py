"""Which of the project's files a module imports, at any depth, read from the source."""

import ast
import sys
from functools import cache
from pathlib import Path

TOP = Path(__file__).parents[2]


def closure(module: str, *, without: frozenset[str] = frozenset(), unused: frozenset[str] = frozenset()) -> set[str]:
    """The paths of `module` and of all it imports inside the project, except through the modules named `without`, and
    through functions of pipeline/tasks and pipeline/examples named `unused`.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = file_of(name)
        if path is None or name in without or str(path.relative_to(TOP)) in found:
            continue
        found.add(str(path.relative_to(TOP)))
        waiting += imported(path, unused)
        waiting += [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]  # its packages run too
    return found


@cache
def imported(path: Path, unused: frozenset[str] = frozenset()) -> list[str]:
    """The dotted names that a file imports, wherever in it, except for type checkers alone, or in functions with a name
    in `unused`.
    """
    names = []
    package = path.relative_to(TOP).parent.parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (isinstance(node, ast.FunctionDef) and node.name in unused and {"tasks", "examples"} & set(path.parts))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


@cache
def file_of(module: str) -> Path | None:
    """The project's file of a dotted name, or None."""
    path = TOP / module.replace(".", "/")
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)


def third_party(files: set[str], unused: frozenset[str]) -> set[str]:
    """The names of the libraries that these files import, less Python's own and the project's."""
    names = {name.partition(".")[0] for file in files for name in imported(TOP / file, unused)}
    return {name for name in names if name not in sys.stdlib_module_names and name != "pipeline"}
