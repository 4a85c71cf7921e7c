"""The pages are true: what they show is done, in order, in a clone, and their commands print what they show.

The clone holds a slice of the data, so figures, commit hashes and predicted labels are left out of the comparison.
"""

import csv
import io
import json
import sys
from pathlib import Path

import clone
import made_up
import pytest
from pages import PAGES, blocks, commands, follow
from small_packages import shrink_code

pytestmark = pytest.mark.slow

TOGETHER = {  # pages that share a clone, in this order
    "data": ("docs/your-data.md",),
    "code": ("docs/new-model.md", "docs/new-reader.md", "docs/new-task.md", "docs/code-map.md", "CONTRIBUTING.md"),
    "runs": ("docs/experiments.md", "docs/comparing.md", "docs/report.md", "docs/troubleshooting.md"),
    "use": (
        "docs/deployment.md",
        "docs/scaling.md",
        "docs/guarantees.md",
        "docs/benchmarks.md",
        "docs/glossary.md",
        "docs/parameters.md",
    ),
}
OWN_DATA = {
    "README.md": (made_up.reviews,),
    "docs/your-data.md": (made_up.shapes, made_up.reviews, made_up.names, made_up.book),
    "docs/new-reader.md": (made_up.questions,),
}


def test_every_page_is_followed():
    assert {"README.md", *(page for pages in TOGETHER.values() for page in pages)} == set(PAGES)


def test_the_readme_works_word_for_word(tmp_path: Path) -> None:
    folder = clone.make(tmp_path / "clone")
    installed(folder / ".venv")
    first, rest = PAGES["README.md"].split("\n## Look at the results\n")
    before, own = rest.split("\n## Your own data\n")
    follow(first, folder)
    clone.run("git add -A && git commit -q -m run", folder)
    follow(before, folder)
    write_own_data("README.md", folder)
    follow(own, folder)
    beats_the_baseline(folder)


@pytest.mark.parametrize("pages", TOGETHER.values(), ids=TOGETHER)
def test_pages_work_word_for_word(copy: Path, pages: tuple[str, ...]) -> None:
    for page in pages:
        write_own_data(page, copy)
        if page == "docs/your-data.md":  # its language model need not be large
            shrink_code(copy)
            clone.run("git commit -q -a -m small", copy)
        follow(PAGES[page], copy)
        if any("dvc exp run" in command for block in blocks(PAGES[page]) for command, _ in commands(block)):
            beats_the_baseline(copy)
        if page == "docs/experiments.md":
            both_seeds_ran(copy)


def both_seeds_ran(folder: Path) -> None:
    """Of the experiments that the page queues."""
    assert clone.run("dvc queue status", folder).count("Success") == 2
    table = csv.DictReader(io.StringIO(clone.run("dvc exp show --no-pager --csv", folder)))
    assert {"0", "1", "2"} <= {row["seed"] for row in table}


def write_own_data(page: str, folder: Path) -> None:
    for write in OWN_DATA.get(page, ()):
        write(folder / "data/raw")


def installed(environment: Path) -> None:
    """This very environment, as if `make` had just installed it there."""
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "run":
            (environment / path.name).symlink_to(path)
    (environment / "run").touch()


def beats_the_baseline(folder: Path) -> None:
    figures = json.loads((folder / "metrics/details.json").read_text())["test"]
    assert figures["accuracy"] > figures["baseline_accuracy"]
