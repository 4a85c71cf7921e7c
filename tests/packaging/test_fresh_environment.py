"""Two commands in a copy of a package, on a machine with Python alone: it installs its libraries, and answers, on the
command line and over HTTP.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from server import serve

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
    with serve(".", command=(python, "-m", "runtime"), folder=folder, environment=outside()) as server:
        content = (folder / "sample" / sample["file"]).read_bytes()
        assert server.ask("/predict", content, content_type="image/png").json["label"] == answer["label"]


def outside() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "HOME"}
    return kept | {"PATH": "/usr/bin:/bin"}


def run(command: list[str | Path], folder: Path) -> str:
    """What it prints in an environment that knows nothing of this one but how to reach an index."""
    done = subprocess.run(command, cwd=folder, env=outside(), capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout
