"""Every test runs strictly: broadcasting must be spelled out. The next run reads what this one compiles."""

import os
import shutil
from pathlib import Path

import compiled
import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # None: this process runs all tests, or has workers that do
compiled.begin()

from pipeline.runtime import environment  # noqa: E402

environment.set_up()

import clone  # noqa: E402
import jax  # noqa: E402
from filelock import FileLock  # noqa: E402
from repro import Pipeline  # noqa: E402
from small_packages import packages  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_sessionfinish(exitstatus: int) -> None:
    compiled.end(in_order=exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED))


@pytest.fixture(scope="module", autouse=True)
def _shared() -> None:
    compiled.share()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which `dvc repro` ran on a small slice of the data and was committed. All workers have the same one:
    read it, and let nothing write there. Where a command writes, take `copy`.
    """
    top = tmp_path_factory.getbasetemp()
    top = top.parent if WORKER else top
    folder, ready = top / "small" / "a clone with spaces", top / "small" / "ready"
    with FileLock(top / "small.lock"):
        if not ready.exists():
            clone.make(folder)
            clone.run("dvc repro", folder)
            clone.run("git add -A && git commit -q -m run", folder)
            clone.run("python -m compileall -q pipeline", folder)  # else whoever imports a module first writes there
            ready.touch()
    return folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """A copy of the small clone, cache and all, to do anything to."""
    return Path(shutil.copytree(small, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="session")
def four_packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small package of each task, to be read: the tests that use them are a group, so that they are made once."""
    return packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A clone in which training takes a while, to be killed and restored: "whole" with its committed run, "fresh" just
    before training.
    """
    pipeline = Pipeline(tmp_path_factory.mktemp("measured") / "a clone")
    pipeline.measure()
    pipeline.keep("whole")
    pipeline.wipe()
    clone.run("dvc repro -q preprocess", pipeline.folder)
    pipeline.keep("fresh")
    return pipeline
