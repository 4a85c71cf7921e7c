"""A small package for each task, made by the stages from a source that a reader reads."""

import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from good_sources import SECTION, SOURCES
from imports import TOP
from ruamel.yaml import YAML
from sources import write

from pipeline.config.networks import GPT_SIZES, RNN_SIZES, GPTSize, RNNSize
from pipeline.stages import runner

SIZES = "pipeline/config/networks.py"
SMALLER: tuple[Any, ...] = (  # of language models, slow to compile: a table, and a row of it as it is and in tests
    (GPT_SIZES, "nano", GPTSize(4, 256, 4, 2, 704), GPTSize(2, 64, 4, 2, 128)),
    (RNN_SIZES, ("linear", "nano"), RNNSize(4, 256), RNNSize(2, 64)),
)

SHORTER = (  # of `epochs: auto`
    ("pipeline/config/training.py", "ENOUGH_STEPS = 1_000", "ENOUGH_STEPS = 100"),
    ("pipeline/config/training.py", "EPOCHS = 10 ", "EPOCHS = 4 "),
)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """The variant nano of each language model is small in this process."""
    for sizes, name, _, smaller in SMALLER:
        patch.setitem(sizes, name, smaller)


def shrink_code(folder: Path) -> None:
    """And in those that run the code there; `epochs: auto` is short there."""
    code = (folder / SIZES).read_text()
    for _, name, size, smaller in SMALLER:
        key = json.dumps(name) if isinstance(name, str) else f"({', '.join(map(json.dumps, name))})"
        was, now = (f"{key}: {type(row).__name__}({', '.join(map(str, row))})" for row in (size, smaller))
        assert was in code
        code = code.replace(was, now)
    (folder / SIZES).write_text(code)
    for path, was, now in SHORTER:
        text = (folder / path).read_text()
        assert was in text
        (folder / path).write_text(text.replace(was, now))


def dump(tree: Any, path: Path) -> None:
    """As YAML, or where YAML has no word for it, as JSON, which is YAML too."""
    try:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(tree, file)
    except Exception:
        path.write_text(json.dumps(tree, default=str, skipkeys=True), encoding="utf-8")


def copy_stages(folder: Path) -> None:
    """What the stages need there, but for data: it need be no repository."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(TOP / "pipeline", folder / "pipeline")
    for name in ("params.yaml", "versions.yaml", "dvc.yaml", "requirements.txt"):
        shutil.copy(TOP / name, folder)


def run_stages(folder: Path, *names: str) -> None:
    """The stages, in the folder but in this process: a process for each would take longer to start than to run."""
    with chdir(folder):
        for name in names:
            runner.once(name)


def packages(folder: Path) -> list[Path]:
    """A small package for each task, made by the stages. Its images are resized, its texts cut, its sentences split."""
    found = []
    for name, dataset, model, changes, preprocessing in (
        ("images", "idx", "cnn", {}, {}),
        ("texts", "table", "linear", {}, {"max_length": 3}),
        ("tags", "conll", "lstm", {}, {"max_length": 2}),
        ("writer", "text", "gpt", {"context": 16}, {}),
    ):
        options, contents = next(source for source in SOURCES if source[0]["format"] == dataset)
        here = folder / name
        copy_stages(here)
        write(here / "data/raw/source", contents)
        everything = YAML(typ="safe").load((TOP / "params.yaml").read_text())
        section = everything["datasets"]["shakespeare" if model == "gpt" else SECTION.get(dataset, "spam")] | {
            "data": {"source": "data/raw/source", "validation": 0.3, "test": 0.3, **options},
        }
        section["preprocessing"] = section["preprocessing"] | preprocessing
        everything |= {"dataset": "own", "model": model, "datasets": {"own": section}}
        epochs = 20 if model == "linear" else 1  # one step leaves it as it began
        everything["models"][model]["training"] |= {"epochs": epochs, "batch_size": 8}
        everything["models"][model]["network"] |= changes
        dump(everything, here / "params.yaml")
        with pytest.MonkeyPatch.context() as patch:
            shrink(patch)
            run_stages(here, "prepare", "preprocess", "train", "evaluate", "package")
        found.append(here / "package")
    return found
