"""JSON that every parser accepts: finite numbers, one key per line, the same bytes for the same content."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import UserError


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` to `path`.

    Raises UserError that names the key of a number that is not finite: JSON cannot hold it, and DVC would see a
    change at every comparison.
    """
    for key, value in _leaves(content):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{path}: {key} is {value}; the run has diverged, or its data is not finite")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read(path: Path) -> Any:
    """The content of the JSON file `path`. Raises UserError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `dvc repro` writes it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from error


def _leaves(content: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(content, Mapping):
        return [leaf for k, v in content.items() for leaf in _leaves(v, f"{key}.{k}" if key else str(k))]
    if isinstance(content, list | tuple):
        return [leaf for i, v in enumerate(content) for leaf in _leaves(v, f"{key}[{i}]")]
    return [(key, content)]
