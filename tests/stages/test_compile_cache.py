"""What is compiled is found again, whatever becomes of the process that compiled it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from imports import TOP

from pipeline.stages.process import compile_cache

WORK = """
import os, signal, sys
import numpy as np
from pipeline.stages.process import compile_cache
with compile_cache.kept():
    import jax
    print(jax.jit(lambda x: x @ x + {number})(np.ones((8, 8), np.float32)).sum())
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    if "fails" in sys.argv:
        raise ValueError
"""


def work(cache: Path, *how: str, number: int = 1, setting: tuple[str, str] = ("PYTHONUTF8", "1")) -> int:
    """In a process of its own; its exit status."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    environment = others | {"XDG_CACHE_HOME": str(cache)} | dict([setting])
    command = [sys.executable, "-c", WORK.format(number=number), *how]
    return subprocess.run(command, cwd=TOP, env=environment, capture_output=True).returncode


def entries(cache: Path) -> dict[str, int]:
    """Of all folders, and when each was written."""
    return {str(path.relative_to(cache)): path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}


def test_a_second_process_compiles_nothing(tmp_path):
    assert work(tmp_path) == 0
    first = entries(tmp_path)
    assert first
    assert work(tmp_path) == 0
    assert entries(tmp_path) == first
    assert work(tmp_path, number=2) == 0
    assert first.items() < entries(tmp_path).items()


def test_a_process_that_is_killed_or_fails_adds_nothing_and_the_next_clears_up(tmp_path):
    assert work(tmp_path) == 0
    kept = entries(tmp_path)
    assert work(tmp_path, "fails", number=2) == 1
    assert entries(tmp_path) == kept
    assert work(tmp_path, "killed", number=2) == -signal.SIGKILL
    assert entries(tmp_path).items() > kept.items()  # the folder of the process that is no more
    assert work(tmp_path) == 0
    assert entries(tmp_path) == kept


@pytest.mark.parametrize("setting", ["JAX_ENABLE_COMPILATION_CACHE", "JAX_COMPILATION_CACHE_DIR"])
def test_the_users_own_setting_stands(tmp_path, setting):
    value = "false" if "ENABLE" in setting else str(tmp_path / "own")
    assert work(tmp_path / "cache", setting=(setting, value)) == 0
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    assert work(tmp_path / "file") == 0


def test_what_was_not_used_for_longest_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "LARGEST", 250)
    for used, name in enumerate("abc"):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 + used, 5000 - used))
    compile_cache._bound(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]
