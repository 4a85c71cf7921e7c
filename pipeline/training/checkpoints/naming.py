"""Where checkpoints lie and what they are called.

    .checkpoints/RUN/EPOCH-STEP/{state.safetensors,facts.json,seal.json}

RUN is a fingerprint of everything that decides the run's result, so that no run resumes from the state of another. The
folder is no output of DVC's, which would delete it before each run of the stage.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.runtime.errors import UserError

SECONDS = "CHECKPOINT_SECONDS"  # environment variable: seconds between checkpoints; it changes no result
ARRAYS, FACTS, SEAL = "state.safetensors", "facts.json", "seal.json"
LOCK = "lock"  # in a run's folder: held by the process that writes there
RESULT = "result.json"  # in a run's folder: names the weights that the finished run produced


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A run's name: the same for equal facts, in whatever order."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def checkpoint_name(epoch: int, step: int) -> str:
    """Sorted by name, a run's checkpoints are sorted by age."""
    return f"{epoch:06}-{step:010}"


def top() -> Path:
    """The folder of all runs. It lies in the repository, which DVC names: an experiment runs in a temporary folder that
    DVC deletes. A stage started by hand runs at the top of the repository.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / paths.CHECKPOINTS


def checkpoints(run: Path) -> list[Path]:
    """The folders of a run's complete checkpoints, oldest first."""
    return sorted(path for path in run.glob("[0-9]*") if path.is_dir() and path.suffix != ".tmp")


def interval() -> float:
    """Seconds between checkpoints. Raises UserError where the environment variable is no number of seconds."""
    text = os.environ.get(SECONDS, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{SECONDS}: must be a number of seconds, 0 or more, not {text!r}")
    return seconds
