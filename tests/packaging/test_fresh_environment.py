"""Two commands in a copy of a package, on a machine with Python alone: it installs its libraries, and answers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]

MOST = 250_000_000  # bytes of what is installed for images


def test_a_copied_package_answers(four_packages: list[Path], tmp_path: Path) -> None:
    (made,) = (folder for folder in four_packages if folder.parent.name == "images")
    folder = Path(shutil.copytree(made, tmp_path / "an empty folder"))
    python = tmp_path / "environment/bin/python"
    run([sys.executable, "-m", "venv", tmp_path / "environment"], tmp_path)
    run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"], folder)
    files = [path for path in (tmp_path / "environment/lib").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST
    (sample, *_) = json.loads((folder / "sample/expected.json").read_text())["samples"]
    answer = json.loads(run([python, "-m", "runtime", "predict", ".", f"sample/{sample['file']}", "--json"], folder))
    assert answer["label"] == sample["answer"]["label"]
    assert answer["probability"] == pytest.approx(sample["answer"]["probability"], abs=2e-4)


def run(command: list[str | Path], folder: Path) -> str:
    """What it prints in an environment that knows nothing of this one but how to reach an index."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "HOME"}
    environment = kept | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout
