"""A folder with the shipped params.yaml in which data can be added."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from added import Add, sections
from imports import TOP
from sources import write

from pipeline.commands import add


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/raw in the current folder."""
    for name in ("params.yaml", "dvc.yaml", "versions.yaml"):
        shutil.copyfile(TOP / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    Path("data/raw").mkdir(parents=True)
    return Path("data/raw")


@pytest.fixture
def run(raw: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs `add` as typed; returns what it printed."""

    def _run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["python -m pipeline add", *arguments])
        capsys.readouterr()
        add.main()
        return capsys.readouterr().out

    return _run


@pytest.fixture
def added(raw: Path, run: Callable[..., str]) -> Add:
    """Writes files under data/raw, adds them, and returns the section."""

    def _added(source: str, files: Mapping[str, bytes | str], *arguments: str) -> dict[str, Any]:
        write(raw, files)
        before = set(sections())
        run(str(raw / source), *arguments)
        (name,) = set(sections()) - before
        return sections()[name]

    return _added
