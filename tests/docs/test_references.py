"""What the pages name exists: files, commands and their options, tests, benchmarks, links."""

import re

import pytest
from imports import TOP
from pages import FILE, PAGES, blocks

from pipeline.__main__ import COMMANDS, STAGES

TEXTS = PAGES | {path.relative_to(TOP).as_posix(): path.read_text() for path in sorted((TOP / "launch").iterdir())}
TARGETS = re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE)
COMMAND_FILES = (path for path in (TOP / "pipeline").rglob("*.py") if "commands" in path.parts)
SOURCES = "".join(path.read_text() for path in COMMAND_FILES)
FOLDERS = ("pipeline", "tests", "docs", "launch", "benchmarks", "data/raw")
MADE = ("reviews", "names", "shapes", "book", "questions", "films", "flats")  # the reader's own data

every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 200


def test_pages_lead_to_all_pages():
    linked = re.findall(r"\]\((docs/[\w-]+\.md)", PAGES["README.md"])
    assert {page for page in PAGES if page.startswith("docs/")} <= set(linked)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        path = (TOP / page).parent / name if name else TOP / page
        assert path.exists(), target
        assert not heading or heading in headings(path.read_text(encoding="utf-8")), target


def headings(text: str) -> list[str]:
    """The anchors that GitHub makes of a page's headings."""
    lines = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines]


@every_text
def test_commands_exist(text):
    for name, rest in re.findall(r"python -m pipeline ([a-z-]+)([^\n`|]*)", text):
        assert name in STAGES | COMMANDS, name
        for option in re.findall(r"(?<= )--[a-z-]+", rest.partition(" dvc ")[0]):
            assert f'"{option}"' in SOURCES, f"{name} {option}"
    assert "python -m pipeline." not in text


@every_text
def test_targets_of_make_exist(text):
    for name in re.findall(r"(?:`|^|\$ )make ([a-z]+)", text, re.MULTILINE):
        assert name in TARGETS, name


@every_text
def test_tests_exist(text):
    for rest in re.findall(r"pytest ([^`\n|]*)", text.replace("pytest\n", "pytest ")):
        for name in re.findall(r"tests\S*", rest):
            assert (TOP / name.strip("),.;")).exists(), name


@every_text
def test_benchmarks_exist(text):
    for name, rest in re.findall(r"python -m benchmarks\.(\w+\.\w+)([^\n`|]*)", text):
        source = (TOP / f"benchmarks/{name.replace('.', '/')}.py").read_text()
        source += (TOP / "benchmarks/alone.py").read_text() if "benchmarks.alone" in source else ""
        for option in re.findall(r"--[a-z-]+", rest):
            assert f'"{option}"' in source, f"{name} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page):
    written = {FILE.findall(block.above)[-1] for block in blocks(PAGES[page]) if FILE.search(block.above)}
    for name in re.findall(rf"(?<![\w/.])(?:{'|'.join(FOLDERS)})/[\w./-]*", PAGES[page]):
        name = name.rstrip(".")
        mine = name.split("/")[-1] in ("NAME", "NAME.py", "x.py") or any(f"data/raw/{made}" in name for made in MADE)
        assert mine or name in written or (TOP / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_functions_exist(page):
    for names, path in re.findall(r"((?:`\w+`(?:, | and )?)+) in `(pipeline/[\w/]+\.py)`", PAGES[page]):
        for name in re.findall(r"\w+", names.replace(" and ", " ")):
            pattern = rf"^\s*(def|class) {name}\b|^{name}\b"
            assert re.search(pattern, (TOP / path).read_text(), re.MULTILINE), f"{name} in {path}"


def test_the_code_map_has_every_folder_and_file_on_top():
    (tree,) = (block.content for block in blocks(PAGES["docs/code-map.md"]) if block.content.startswith("pipeline/"))
    listed = {line.split()[0] for line in tree.splitlines() if line.startswith("  ")}
    there = {f"{path.parent.name}/" for path in (TOP / "pipeline").glob("*/__init__.py")}
    there |= {path.name for path in (TOP / "pipeline").glob("*.py")} - {"__init__.py"}
    assert listed == there
    for line in tree.splitlines():
        if not line.startswith(" "):
            (names,) = re.findall(r"^\S+/, \S+/|^\S+", line)
            assert all((TOP / name).exists() for name in names.split(", ")), line
