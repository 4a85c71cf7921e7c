"""A new Python process that can import the standard library, what lies in one folder, and some installed libraries."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from pipeline.packaging import requirements

START = """
import runpy, sys
folder, libraries, script, *arguments = sys.argv[1:]
sys.path[:0] = [folder, libraries]
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""


def run(
    script: Path, *arguments: str | Path, folder: Path, libraries: Iterable[str]
) -> subprocess.CompletedProcess[str]:
    """Runs a script in `folder`, whose modules it can import, besides the standard library's and those of the
    distributions with these names. Nothing is written beside its modules.

    It computes on the CPU: a library for a GPU is none of a package's requirements.
    """
    with tempfile.TemporaryDirectory() as top:
        for name in libraries:
            try:
                _link(distribution(name), Path(top))
            except PackageNotFoundError:  # one for another system
                continue
        # -S: no folder with installed libraries; -I: neither environment variables nor the folder of the script.
        # What lies compiled in the folder, which a manifest leaves out, is not run.
        options = ["-I", "-S", "-B", "-X", f"pycache_prefix={os.devnull}"]
        command = [sys.executable, *options, "-c", START, folder.resolve(), top, script.resolve(), *arguments]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def named_in(path: Path) -> list[str]:
    """The names of the libraries that a package's file of requirements pins."""
    return sorted({pin.name for pin in requirements.read(path)})


def with_needs(libraries: Iterable[str]) -> list[str]:
    """These libraries, and all that they need."""
    return sorted(requirements.needs(libraries))


def _link(library: Distribution, folder: Path) -> None:
    """Links the library's modules into the folder. What several libraries may share, such as `google`, becomes a folder
    of links.
    """
    for file in library.files or ():
        first, *rest = file.as_posix().split("/")
        if first in ("..", "__pycache__"):  # a script
            continue
        source, target = Path(str(library.locate_file(first))), folder / first
        if rest and not (source / "__init__.py").exists():
            target.mkdir(exist_ok=True)
            source, target = source / rest[0], target / rest[0]
        if not target.is_symlink():
            target.symlink_to(source)
