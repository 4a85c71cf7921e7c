"""The README is true: its commands run, in order, in a fresh clone, and print what it shows but for the figures.

The clone holds a slice of the data, so numbers, commit hashes and predicted labels are left out of the comparison.
"""

import re
import sys
from pathlib import Path

import clone
import pytest
from idx_files import RAW
from imports import TOP

README = (TOP / "README.md").read_text(encoding="utf-8")
OWN = re.compile(r"\n## Your own data\n.*?(?=\n## )", re.DOTALL)  # test_chapters.py follows these
CONSOLE = re.findall(r"```console\n(.*?)```", OWN.sub("", README), re.DOTALL)
LABELS = sorted((RAW / "labels.txt").read_text().split("\n")[:-1], key=len, reverse=True)


def examples() -> list[tuple[str, str]]:
    """Each command of the README with the output it shows."""
    parts = [part for block in CONSOLE for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def plain(output: str) -> list[str]:
    """The lines without what differs between two honest runs: figures, hashes, progress, padding."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    lines = []
    for line in text.split("\n"):
        if line.startswith(("Updating lock", "Reproducing", "Building", "Transferring", "WARNING", "!")):
            continue
        line = re.sub(r"file://\S+(?=/dvc_plots)", "file://", line)
        line = re.sub(r"\b[0-9a-f]{7}\b", "#", line)
        line = re.sub(r"-?\d[\d,.]*(e[+-]?\d+)?", "#", line).replace("paths", "path")
        line = re.sub(r"\b[a-z]+-[a-z]+(?=['\]])", "<name>", line)
        line = re.sub("|".join(map(re.escape, LABELS)), "<label>", line)
        line = re.sub(r"[-─┼┃│━]+", "-", line)
        lines.append(re.sub(r"\s+", " ", line).strip())
    return [line for line in lines if line]


def test_it_shows_commands():
    assert len(examples()) > 10


@pytest.mark.slow
def test_its_commands_print_what_it_shows(tmp_path):
    folder = clone.make(tmp_path / "clone")
    (folder / ".venv").symlink_to(sys.prefix)  # what `make` would make, and finds made
    for command, shown in examples():
        output = clone.run(command, folder, code=None)
        if command == "make repro":
            clone.run("git add -A && git commit -q -m run", folder)
        assert agree(command, plain(output), plain(shown)), f"$ {command}\n{output}\n{plain(output)}\n{plain(shown)}"


def agree(command: str, printed: list[str], shown: list[str]) -> bool:
    """Whether the two are alike; a shown line `...` stands for any lines."""
    if command.startswith("dvc exp show"):  # which columns fit depends on the width of the figures
        return {line.split()[0] for line in printed} >= {line.split()[0] for line in shown}
    if command == "dvc dag":  # the layout of the graph is another one each time
        return sorted(re.findall("[a-z]+", " ".join(printed))) == sorted(re.findall("[a-z]+", " ".join(shown)))
    if command.startswith("dvc metrics"):  # DVC prints the files, and their columns, in either order
        return sorted(" ".join(printed).split()) == sorted(" ".join(shown).split())
    if "..." in shown:
        at = shown.index("...")
        after = shown[at + 1 :]
        return printed[:at] == shown[:at] and (not after or printed[-len(after) :] == after)
    return printed == shown


def test_its_files_exist():
    (tree,) = re.findall(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)
    folder = Path()
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith("  "):
            folder = Path(name) if name.endswith("/") else Path()
            assert (TOP / name).exists(), name
        else:
            assert (TOP / folder / name).exists(), name
    listed = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.startswith("  ")}
    there = {path.name for path in (TOP / "pipeline").iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert there == listed


def test_its_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (TOP / target).exists(), target
