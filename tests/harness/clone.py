"""A fresh clone of the working tree with a small slice of the data, and the commands that people run in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from idx_files import write_slice
from imports import TOP


def environment(**extra: str) -> dict[str, str]:
    """As in an activated environment, with no trace of this test run."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("DVC_", "GIT_", "MAKE", "MFLAGS", "PYTEST"))
    }
    scripts = str(Path(sys.executable).parent)
    author = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**kept, **author, "PATH": f"{scripts}{os.pathsep}{kept['PATH']}", "COLUMNS": "120", **extra}


def make(folder: Path, *, train: int = 600, test: int = 200) -> Path:
    """The tracked files of this repository in a git repository of their own at `folder`, committed."""
    for name in git_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, target)
    write_slice(folder / "data/raw/fashion-mnist", train=train, test=test)
    for command in ("init -q -b main", "add -A", "commit -q -m slice"):
        run(f"git {command}", folder)
    return folder


def git_files() -> Iterator[str]:
    """What is tracked, and what is new and not ignored; less what was deleted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        stdout=subprocess.PIPE,
        check=True,
    )
    return (name for name in listed.stdout.decode().split("\0") if name and (TOP / name).exists())


def run(command: str, folder: Path, *, code: int | None = 0, **extra: str) -> str:
    """Runs a shell command there; returns what it printed on either stream. `code` None: any exit code will do."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert code is None or done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout
