"""A small run of each task, for all tests of reports."""

from pathlib import Path

import pytest
from small_packages import run_stages, shrink
from small_runs import RUNS, build


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the runs, by their names."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        for name in RUNS:
            build(folder / name, name)
            run_stages(folder / name, "evaluate")
    return {name: folder / name for name in RUNS}
