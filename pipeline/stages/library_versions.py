"""Whether the installed libraries are those that results are recorded with.

DVC runs a stage again when versions.yaml has a new version, but it does not see what is installed.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ruamel.yaml import YAML

from pipeline.config import paths


def warn(stage: str) -> None:
    """Prints a line for each library that `stage` depends on and that is installed in another version."""
    for name, installed, expected in differences(stage):
        print(
            f"note: {name} {installed} is installed, {paths.VERSIONS} has {expected}: results may differ, and DVC does "
            "not know",
            file=sys.stderr,
        )


def differences(stage: str) -> Iterator[tuple[str, str, str]]:
    """Name, installed and expected version."""
    if not paths.VERSIONS.exists():
        return
    yaml = YAML(typ="safe")
    expected: dict[str, str] = yaml.load(paths.VERSIONS.read_text(encoding="utf-8"))
    params: list[Any] = yaml.load(paths.DVC.read_text(encoding="utf-8"))["stages"][stage].get("params", [])
    for name in (name for param in params if isinstance(param, dict) for name in param.get(str(paths.VERSIONS), [])):
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # importing it says so
        if name in expected and installed not in expected[name].split(" or "):
            yield name, installed, expected[name]
