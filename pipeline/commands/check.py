"""Checks the whole of params.yaml, and repairs a dvc.lock that a kill has cut short: python -m pipeline check"""

import argparse
import os
import subprocess
from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from ruamel.yaml import YAML, YAMLError

from pipeline.config import paths
from pipeline.stages import check

LOCK = Path("dvc.lock")
DAMAGED = Path("dvc.lock.damaged")


def main() -> None:
    argparse.ArgumentParser(prog="python -m pipeline check", description=__doc__).parse_args()
    repair_lock()
    check.sizes(check.params())
    print(f"{paths.PARAMS}: all keys are known, all values possible")


def repair_lock() -> None:
    """Replaces a dvc.lock that DVC cannot read with the last commit's, and keeps the damaged file beside it. DVC writes
    the file in place, so that a kill may cut it short.

    Stages that have run since then come back from DVC's run cache.
    """
    if not LOCK.exists() or readable(text := LOCK.read_text(encoding="utf-8", errors="replace")):
        return
    if "\n<<<<<<< " in text:  # a merge conflict, which is the user's to resolve
        return
    os.replace(LOCK, DAMAGED)
    committed = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True)
    done = "removed, since the last commit has none"
    if committed.returncode == 0:
        done = "replaced with the last commit's"
        whole = LOCK.with_suffix(".tmp")
        whole.write_bytes(committed.stdout)
        os.replace(whole, LOCK)
    print(
        f"{LOCK} was cut short, because DVC was killed while writing it: {done}; the damaged file is {DAMAGED}; stages "
        "that have run since come back from DVC's cache"
    )


def readable(text: str) -> bool:
    """Whether DVC accepts it as a dvc.lock."""
    try:
        Lockfile.validate(YAML(typ="safe").load(text))
    except (YAMLError, DvcException):
        return False
    return True
