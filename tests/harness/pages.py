"""The pages that people read, taken apart: the blocks to follow, the names and links that must exist.

What a page shows is done as a person would do it. A `python` block below the name of a file is written to that file, a
`diff` is applied, a `yaml` block goes into params.yaml, a `console` block is typed and its output compared. Other
blocks are only read.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from clone import run
from idx_files import RAW
from imports import TOP

FILES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]
PAGES = {path.relative_to(TOP).as_posix(): path.read_text(encoding="utf-8") for path in FILES}

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(\w+(?:/\w+)+\.py)`")
LABELS = sorted((RAW / "labels.txt").read_text().split("\n")[:-1], key=len, reverse=True)


class Block(NamedTuple):
    """A fenced block, and the paragraph above it."""

    language: str
    content: str
    above: str


def blocks(text: str) -> list[Block]:
    result = []
    for match in BLOCK.finditer(text):
        above = text[: match.start()].rstrip().rpartition("\n\n")[2]
        result.append(Block(match[1], match[2], above))
    return result


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command of a console block with the output it shows."""
    parts = re.split(r"^\$ ", block.content, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def follow(text: str, folder: Path) -> None:
    """Does in `folder` what the page `text` shows, from top to bottom."""
    for block in blocks(text):
        match block.language:
            case "python" if block.above.endswith(":") and (names := FILE.findall(block.above)):
                (folder / names[-1]).write_text(block.content)
            case "python":
                (folder / "example.py").write_text(block.content)
                run("python example.py && rm example.py", folder, PYTHONPATH=".")
            case "diff":
                (folder / "change.diff").write_text(block.content)
                run("git apply change.diff && rm change.diff", folder)
            case "yaml":
                section = "models" if "network:" in block.content else "datasets"
                params = (folder / "params.yaml").read_text()
                added = params.replace(f"\n{section}:\n", f"\n{section}:\n{block.content}\n", 1)
                (folder / "params.yaml").write_text(added)
            case "console":
                for command, shown in commands(block):
                    output = run(command, folder, code=None)
                    printed = plain(output)
                    assert agree(command, printed, plain(shown)), f"$ {command}\n{output}\n{printed}\n{plain(shown)}"


def plain(output: str) -> list[str]:
    """The lines without what differs between two honest runs: figures, hashes, progress, padding, predicted labels."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    lines = []
    for line in text.split("\n"):
        if re.match(r"note: [\d,]+ steps are few", line):  # the clone has a slice of the data
            continue
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


def agree(command: str, printed: list[str], shown: list[str]) -> bool:
    """Whether the two are alike; a shown line `...` stands for any lines."""
    if command.startswith(
        ("dvc exp show", "make experiments")
    ):  # which columns fit depends on the width of the figures
        return {line.split()[0] for line in printed} >= {line.split()[0] for line in shown}
    if command == "dvc dag":  # the layout of the graph is another one each time
        return sorted(re.findall("[a-z]+", " ".join(printed))) == sorted(re.findall("[a-z]+", " ".join(shown)))
    if command.startswith("dvc metrics"):  # DVC prints the files, and their columns, in either order
        wanted, words = (Counter(" ".join(lines).split()) for lines in (shown, printed))
        return wanted - words <= Counter(["..."]) and ("..." in wanted or wanted == words)
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None
