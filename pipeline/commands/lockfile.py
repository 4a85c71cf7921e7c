"""dvc.lock after a kill: DVC writes it in place, and refuses the half of it that is left when it dies just then."""

import os
import subprocess
from pathlib import Path

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

LOCK = Path("dvc.lock")
DAMAGED = Path("dvc.lock.damaged")


def mend() -> None:
    """Puts the last commit's dvc.lock in the place of one that DVC cannot read; the damaged one is kept beside it.

    Stages that were finished since then come back from DVC's cache of runs.
    """
    if not LOCK.exists() or readable(text := LOCK.read_text(encoding="utf-8", errors="replace")):
        return
    if "\n<<<<<<< " in text:  # a merge to be settled, no damage
        return
    os.replace(LOCK, DAMAGED)
    committed = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True)
    if committed.returncode == 0:
        whole = LOCK.with_suffix(".tmp")
        whole.write_bytes(committed.stdout)
        os.replace(whole, LOCK)
    print(
        f"{LOCK} was cut short (DVC was killed while it wrote it) and is as in the last commit again; "
        f"what was there is in {DAMAGED}; stages that were finished come back from DVC's cache"
    )


def readable(text: str) -> bool:
    """Whether DVC takes it for a dvc.lock."""
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    return True
