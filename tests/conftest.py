"""Every test runs strictly: broadcasting must be spelled out. What one test compiled, others need not compile again."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

CACHE = tempfile.mkdtemp(prefix="compiled-")  # of this worker alone: entries are not written at one stroke
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": CACHE,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}

from pipeline.runtime import environment  # noqa: E402

environment.set_up()

import clone  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

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
