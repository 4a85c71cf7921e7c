"""A folder with a source and a params.yaml that chooses it, for tests of prepare and preprocess in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.runtime.errors import UserError
from pipeline.stages import prepare, runner

TEXT = {
    "tokenizer": "words",
    "vocabulary": 100,
    "normalisation": "none",
    "lowercase": True,
    "max_length": 8,
    "keep": "start",
}
IMAGE = {"height": 8, "width": 8, "colour": "grey", "resize": "exact", "margin": 0}
WORDS = {"vocabulary": 100, "lowercase": True, "max_length": 8, "word_length": 6}

Make = Callable[..., Path]


def texts(make: Make, rows: list[tuple[str, ...]], header: str = "text,label", **others: Any) -> Path:
    reader = {"format": "table", **{name: name for name in header.split(",")}}
    folder = make(reader, task="classification", preprocessing=TEXT, model="linear", **others)
    (folder / "rows.csv").write_text("\n".join([header, *(",".join(row) for row in rows)]))
    return folder


def letters(n: int) -> str:
    """A word for a number: digits would be ignored."""
    return "".join("abcdefghij"[int(digit)] for digit in str(n))


GOOD = [(f"this is {letters(i)}", "yes" if i % 2 else "no") for i in range(60)]


def report() -> dict[str, Any]:
    return json.loads(Path("data/prepared/report.json").read_text())


def run(module: ModuleType) -> None:
    """The stage, as DVC would run it, in this process."""
    runner.once(module.__name__.rpartition(".")[2])


def failure(module: ModuleType = prepare) -> str:
    with pytest.raises(UserError) as caught:
        run(module)
    assert "\n" not in str(caught.value)
    return str(caught.value)
