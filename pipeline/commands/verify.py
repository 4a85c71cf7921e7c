"""Do the committed results come out again, byte for byte? The pipeline runs anew in a clone of its own.

python -m pipeline verify
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml import YAML

from pipeline.config import paths
from pipeline.runtime.errors import UserError

LOCK = "dvc.lock"


class Output(NamedTuple):
    stage: str
    output: str
    committed: str | None  # the hash that dvc.lock has of it
    now: str | None


def main() -> int:
    argparse.ArgumentParser(prog="python -m pipeline verify", description=__doc__).parse_args()
    committed, machines = shown(LOCK), json.loads(shown(paths.MACHINES.as_posix()))
    if _run("git", "status", "--porcelain", "--untracked-files=no"):
        print("note: what is not committed is not part of this", flush=True)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        clone = Path(folder) / Path.cwd().name
        _run("git", "clone", "--quiet", str(Path.cwd()), str(clone))
        fetch(clone)
        if subprocess.run(["dvc", "repro", "--force", "--no-run-cache"], cwd=clone, env=environment()).returncode:
            raise UserError("the pipeline does not run in a clone of the last commit, as said above")
        again, here = (clone / LOCK).read_text(encoding="utf-8"), json.loads((clone / paths.MACHINES).read_text())
    return report(_lock(committed), _lock(again), differences(machines, here))


def shown(name: str) -> str:
    """A file of the last commit. Raises UserError where there is none."""
    done = subprocess.run(["git", "show", f"HEAD:./{name}"], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{name}: not in the last commit ({done.stderr.strip()}); `dvc repro`, then commit it")
    return done.stdout


def fetch(clone: Path) -> None:
    """Brings data that DVC tracks by itself (*.dvc) from this repository's cache. The stages' outputs stay behind."""
    if tracked := _run("git", "ls-files", "*.dvc").split():
        cache = _run("dvc", "cache", "dir").strip()
        _run("dvc", "remote", "add", "--quiet", "--default", "--local", "here", cache, folder=clone)
        _run("dvc", "pull", "--quiet", *tracked, folder=clone)


def report(committed: dict[str, Any], again: dict[str, Any], machines: list[str]) -> int:
    """Prints a row an output, and what may be why they differ; returns the exit code."""
    rows = [*compared(committed, again, "outs")]
    table = pd.DataFrame(rows).assign(bytes=["same" if row.committed == row.now else "DIFFER" for row in rows])
    print(table.assign(committed=table["committed"].str[:8], now=table["now"].str[:8]).to_string(index=False))
    # That the machine is another one is no difference of the results, but may be the reason of one.
    about = {paths.TRAINED_ON.as_posix(), paths.MACHINES.as_posix()}
    different = [row for row in rows if row.committed != row.now and row.output not in about]
    stale = [row.output for row in compared(committed, again, "deps") if row.committed != row.now]
    given = [name for name in stale if name not in {row.output for row in different}]
    if different and given:
        print(f"{LOCK} was not made from what is committed ({', '.join(given[:5])}): `dvc repro`, then commit")
    elif different and machines:
        print("the results were made elsewhere:", *machines, sep="\n  ")
    elif different:
        print("the machine is of the same kind: something in the pipeline depends on more than its inputs")
    print(f"{len(rows) - len(different)} of {len(rows)} outputs are the same, byte for byte")
    return 1 if different else 0


def compared(committed: dict[str, Any], again: dict[str, Any], what: str) -> Iterator[Output]:
    """Each stage's `outs` or `deps`, with both hashes; what only one side has is None on the other."""
    for stage in dict.fromkeys([*committed, *again]):
        before, after = (
            {entry["path"]: entry["md5"] for entry in lock.get(stage, {}).get(what, [])} for lock in (committed, again)
        )
        for path in dict.fromkeys([*before, *after]):
            yield Output(stage, path, before.get(path), after.get(path))


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not equal of two machines, a line each."""
    found = []
    for stage in before.keys() | after.keys():
        one, other = before.get(stage, {}), after.get(stage, {})
        changed = (key for key in {**one, **other} if one.get(key) != other.get(key))
        found += [f"{key}: {one.get(key)} then, {other.get(key)} now" for key in changed]
    return sorted(set(found))


def environment() -> dict[str, str]:
    """Of a command in the clone: nothing that points to this repository, and this very Python first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def _lock(text: str) -> dict[str, Any]:
    return YAML(typ="safe").load(text)["stages"]


def _run(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
    return done.stdout
