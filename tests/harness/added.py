"""What `python -m pipeline add` wrote into the params.yaml of the current folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Add = Callable[..., dict[str, Any]]


def sections() -> dict[str, Any]:
    """The datasets of params.yaml."""
    return YAML(typ="safe").load(Path("params.yaml").read_text())["datasets"]
