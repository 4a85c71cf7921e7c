"""A fresh clone of this repository in which all stages ran, with a cache of its own."""

import atexit
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.row import Options, Turn, output

TOP = Path(__file__).parents[2]


def make(folder: Path, *, quick: bool) -> None:
    """The last commit. `quick`: one epoch."""
    output("git", "clone", "-q", TOP, folder)
    if quick:
        params = folder / "params.yaml"
        params.write_text(params.read_text().replace("epochs: 5", "epochs: 1", 1))
        commit(folder)


def commit(folder: Path) -> None:
    output("git", "commit", "-q", "-a", "--allow-empty", "-m", "run", cwd=folder, env=environment(folder))


def environment(folder: Path) -> dict[str, str]:
    """As in an activated environment, outside any run of DVC. What is compiled is kept beside the clone: the first run
    finds nothing that another one compiled.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "JAX_COMP"))}
    author = {f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | author | {"PATH": path, "XDG_CACHE_HOME": str(folder.parent / "cache")}


def cold(folder: Path, *, quick: bool) -> Turn:
    """The seconds of the first `dvc repro` in a clone, which is then committed."""
    make(folder, quick=quick)
    began = time.perf_counter()
    output("dvc", "repro", cwd=folder, env=environment(folder))
    seconds = time.perf_counter() - began
    commit(folder)
    trained = json.loads((folder / "metrics/train.json").read_text())
    tested = json.loads((folder / "metrics/evaluate.json").read_text())
    return Turn(seconds, {"parameters": trained["parameters"], "accuracy": tested["test"]["accuracy"]})


class Finished(NamedTuple):
    folder: Path
    turn: Turn  # of its first `dvc repro`


@functools.cache
def finished(*, quick: bool) -> Finished:
    """A clone that ran, for all that only read it or run it again. It goes when this process ends."""
    top = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    print("  dvc repro in a clone", flush=True)
    return Finished(top / "clone", cold(top / "clone", quick=quick))


def package(options: Options) -> Path:
    """The package that was asked for; where there is none, that of a clone."""
    asked = options.package.resolve()
    return asked if asked.exists() else finished(quick=options.quick).folder / "package"


def seconds_of(command: list[str], folder: Path) -> Turn:
    """Of a process there. Training starts anew, and not from what another run left."""
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    began = time.perf_counter()
    output(*command, cwd=folder, env=environment(folder))
    return Turn(time.perf_counter() - began)
