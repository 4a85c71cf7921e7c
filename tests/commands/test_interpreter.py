"""A Python that lacks the libraries, as the system's does, is not met by a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imports import TOP


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose `python` has no libraries."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S "$@"\n')  # type: ignore[attr-defined]
    python.chmod(0o755)
    return {"PATH": f"{python.parent}:/usr/bin:/bin", "PYTHONPATH": ""}


def test_it_says_what_is_missing(bare):
    done = subprocess.run(["sh", "-c", "python -m pipeline check"], cwd=TOP, env=bare, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not this project's environment: activate it with `. .venv/bin/activate`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stage_starts_with_the_python_of_the_dvc_that_runs_it(bare, tmp_path):
    dvc = tmp_path / "dvc"
    dvc.write_text('import subprocess, sys\nsys.exit(subprocess.call(["sh", "-c", "python -m pipeline config"]))\n')
    done = subprocess.run([sys.executable, dvc], cwd=TOP, env=bare, capture_output=True, text=True)
    assert "dataset: fashion-mnist" in done.stdout, done.stderr


def test_a_library_that_is_missing_or_broken_is_named(tmp_path):
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc/__init__.py").write_text("import no_such_library\n")
    command = [sys.executable, "-m", "pipeline", "check"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no_such_library cannot be imported (No module named 'no_such_library'): is")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("folder", "code", "said"),
    [("\u65e5", 0, "a label \\u65e5"), (os.fsdecode(b"caf\xe9"), 1, "is not UTF-8: rename it")],
)
def test_a_folder_whose_name_the_locale_cannot_write(folder, code, said, tmp_path):
    """JAX fails on it."""
    shutil.copytree(TOP / "pipeline", tmp_path / folder / "pipeline")
    shutil.copy(TOP / "params.yaml", tmp_path / folder)
    (tmp_path / folder / "pipeline/commands/config.py").write_text("def main():\n    print('a label \\u65e5')\n")
    ascii_alone = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": ""}
    command = [sys.executable, "-m", "pipeline", "config"]
    done = subprocess.run(command, cwd=tmp_path / folder, env=ascii_alone, capture_output=True, text=True)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)
