"""Runs the last commit's pipeline anew in a clone, and compares every output with the committed hashes, byte for byte.

python -m pipeline verify
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml import YAML

from pipeline.config import paths
from pipeline.runtime.errors import UserError

LOCK = "dvc.lock"
# It names the machine, and DVC leaves it as it is where the model is the recorded one: no result.
NO_RESULT = {paths.MACHINES.as_posix()}


class Entry(NamedTuple):
    """An output or a dependency, with its hash in both files; None where it is missing."""

    stage: str
    path: str
    committed: str | None
    now: str | None


def main() -> int:
    argparse.ArgumentParser(prog="python -m pipeline verify", description=__doc__).parse_args()
    committed, machines = committed_file(LOCK), json.loads(committed_file(paths.MACHINES.as_posix()))
    if _run("git", "status", "--porcelain", "--untracked-files=no"):
        print("note: uncommitted changes are not part of this", flush=True)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        clone = Path(folder) / Path.cwd().name
        _run("git", "clone", "--quiet", str(Path.cwd()), str(clone))
        fetch(clone)
        if subprocess.run(["dvc", "repro", "--force", "--no-run-cache"], cwd=clone, env=environment()).returncode:
            raise UserError("the pipeline fails in a clone of the last commit, for the reason above")
        again = (clone / LOCK).read_text(encoding="utf-8")
        machine = json.loads((clone / paths.TRAINED_ON).read_text(encoding="utf-8"))["machine"]
    return report(_stages(committed), _stages(again), differences(machines, machine))


def committed_file(name: str) -> str:
    """The content of a file in the last commit. Raises UserError where there is none."""
    done = subprocess.run(["git", "show", f"HEAD:./{name}"], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{name}: not in the last commit ({done.stderr.strip()}): run `dvc repro`, then commit it")
    return done.stdout


def fetch(clone: Path) -> None:
    """Copies the data that DVC tracks (*.dvc) from this repository's cache, but no output of a stage."""
    if tracked := _run("git", "ls-files", "*.dvc").split():
        cache = _run("dvc", "cache", "dir").strip()
        _run("dvc", "remote", "add", "--quiet", "--default", "--local", "here", cache, folder=clone)
        _run("dvc", "pull", "--quiet", *tracked, folder=clone)


def report(committed: Mapping[str, Any], again: Mapping[str, Any], machine: list[str]) -> int:
    """Prints a row for each output and, where any differs, the likely reason; returns the exit code. `machine` says how
    this machine differs from the recorded ones.
    """
    outputs = [entry for entry in entries(committed, again, "outs") if entry.path not in NO_RESULT]
    table = pd.DataFrame(outputs).assign(bytes=["same" if row.committed == row.now else "DIFFER" for row in outputs])
    print(table.assign(committed=table["committed"].str[:8], now=table["now"].str[:8]).to_string(index=False))
    different = [row.path for row in outputs if row.committed != row.now]
    changed = [row.path for row in entries(committed, again, "deps") if row.committed != row.now]
    inputs = [path for path in changed if path not in different]
    if different and inputs:
        print(f"{LOCK} was not made from the committed files ({', '.join(inputs[:5])}): run `dvc repro`, then commit")
    elif different and machine:
        print("the results were made on another machine:", *machine, sep="\n  ")
    elif different:
        print("the machine is of the same kind: something in the pipeline depends on more than its inputs")
    print(f"{len(outputs) - len(different)} of {len(outputs)} outputs are the same, byte for byte")
    return 1 if different else 0


def entries(committed: Mapping[str, Any], again: Mapping[str, Any], what: str) -> Iterator[Entry]:
    """Each stage's `outs` or `deps` in either file."""
    for stage in dict.fromkeys([*committed, *again]):
        before, after = (
            {entry["path"]: entry["md5"] for entry in lock.get(stage, {}).get(what, [])} for lock in (committed, again)
        )
        for path in dict.fromkeys([*before, *after]):
            yield Entry(stage, path, before.get(path), after.get(path))


def differences(recorded: Mapping[str, Any], machine: Mapping[str, Any]) -> list[str]:
    """How `machine` differs from those that metrics/machines.json records, a line each."""
    lines = set()
    for stage in ("train", "evaluate"):
        if before := recorded.get(stage):  # empty where it is not known
            changed = (key for key in {**before, **machine} if before.get(key) != machine.get(key))
            lines |= {f"{key}: {before.get(key)} then, {machine.get(key)} now" for key in changed}
    return sorted(lines)


def environment() -> dict[str, str]:
    """For commands in the clone: nothing that points to this repository, this Python first, and all compiled anew."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
    kept["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def _stages(lock: str) -> dict[str, Any]:
    return YAML(typ="safe").load(lock)["stages"]


def _run(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
    return done.stdout
