"""Every test runs strictly: broadcasting must be spelled out."""

import shutil
from pathlib import Path

import clone
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which `dvc repro` ran on a small slice of the data and was committed. Leave it as it is."""
    folder = clone.make(tmp_path_factory.mktemp("small") / "a clone with spaces")
    clone.run("dvc repro", folder)
    clone.run("git add -A && git commit -q -m run", folder)
    return folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """A copy of the small clone, cache and all, to do anything to."""
    return Path(shutil.copytree(small, tmp_path / "copy", symlinks=True))
