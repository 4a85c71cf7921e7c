"""What tests of prepare and preprocess share."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from imports import TOP
from one_source import Make
from ruamel.yaml import YAML


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A folder with a params.yaml whose chosen dataset is the source `data/raw/mine`, read as the arguments say."""
    monkeypatch.chdir(tmp_path)

    def _make(reader: dict[str, Any], *, task: str, preprocessing: dict[str, Any], model: str, **others: Any) -> Path:
        content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
        section = {
            "task": {"name": task},
            "data": {"source": "data/raw/mine", "validation": 0.2, **reader, **others},
            "preprocessing": preprocessing,
        }
        content |= {"dataset": "mine", "model": model}
        content["datasets"] = {"mine": section}
        with (tmp_path / "params.yaml").open("w") as file:
            YAML().dump(content, file)
        for name in ("dvc.yaml", "versions.yaml"):
            shutil.copyfile(TOP / name, tmp_path / name)
        (tmp_path / "data/raw/mine").mkdir(parents=True, exist_ok=True)
        return tmp_path / "data/raw/mine"

    return _make
