"""What a machine will not give, memory or a folder to write to: one clear line, and what there was is kept."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clone
import pytest
from clone import run
from small_packages import run_stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("refusals")]  # for the clone


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with features to train on."""
    folder = clone.make(tmp_path_factory.mktemp("refusals") / "a clone")
    clone.run("sed -i 's/epochs: 5/epochs: 1/' params.yaml && git commit -qam short", folder)
    run_stages(folder, "prepare", "preprocess")
    return folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """No one may write to it; for root, whom no permission stops, the file system says so."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    mounted = os.access(folder, os.W_OK)
    if mounted:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        ("prepare", "data/prepared"),
        ("preprocess", "data/features"),
        ("train", "logs"),
        ("train", ".checkpoints"),
        ("train", "trained"),
    ],
)
def test_a_folder_that_may_not_be_written(prepared, stage, folder):
    with read_only(prepared / folder):
        output = run(f"python -m pipeline {stage}", prepared, code=1)
    assert output.splitlines()[-1].startswith(f"error: {folder}")
    assert "make it readable and writable" in output
    assert "Traceback" not in output


def test_out_of_memory(prepared):
    run("sed -i 's/filters: 32/filters: 2000000/' params.yaml", prepared)
    output = run("ulimit -v 6000000; python -m pipeline train", prepared, code=1)
    run("git checkout -q params.yaml", prepared)
    assert output.splitlines()[-1].startswith("error: out of memory: ")
    assert "lower batch_size or the network's sizes" in output
    assert "Traceback" not in output
