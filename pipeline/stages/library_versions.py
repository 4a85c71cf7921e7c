"""The libraries that results come from, as versions.yaml lists them, and whether those versions are installed.

DVC runs a stage again when versions.yaml has a new version, but it does not see what is installed.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ruamel.yaml import YAML

from pipeline.config import paths
from pipeline.runtime.errors import UserError
from pipeline.stages import stage_files


def expected() -> dict[str, str]:
    """Library -> version, or several with " or " between. Raises UserError where the file is missing."""
    try:
        return YAML(typ="safe").load(paths.VERSIONS.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{paths.VERSIONS}: no such file: `git checkout {paths.VERSIONS}`") from error


def installed() -> dict[str, str]:
    """Library -> version, of those that are installed."""
    versions: dict[str, str] = {}
    for name in expected():
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # what imports it says so
            continue
    return versions


def warn(stage: str) -> None:
    """Prints a line for each library that `stage` depends on and that is installed in another version."""
    for name, found, listed in differences(stage):
        print(
            f"note: {name} {found} is installed, {paths.VERSIONS} has {listed}: results may differ, and DVC does "
            "not know",
            file=sys.stderr,
        )


def differences(stage: str) -> Iterator[tuple[str, str, str]]:
    """Name, installed and expected version."""
    versions, listed = installed(), expected()
    for param in stage_files.in_dvc_yaml(stage).get("params", []):
        for name in param.get(str(paths.VERSIONS), []) if isinstance(param, dict) else ():
            if name in versions and versions[name] not in listed[name].split(" or "):
                yield name, versions[name], listed[name]
