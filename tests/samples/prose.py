"""A folder for the stages: a small corpus of text, and params.yaml that chooses it and a small language model.

The variant nano is smaller there than in earnest, since compiling its layers takes longest. `shrink` makes it so in this
process, and the code that is copied to the folder says the same to those that start there.
"""

import random
from pathlib import Path
from typing import Any

import pytest
from imports import TOP
from ruamel.yaml import YAML
from small_packages import copy_stages, dump

from pipeline.config.networks import GPT_SIZES, RNN_SIZES, GPTSize, RNNSize

SIZES = "pipeline/config/networks.py"
SMALLER = (
    (GPT_SIZES, "nano", GPTSize(4, 256, 4, 2, 704), GPTSize(2, 64, 4, 2, 128)),
    (RNN_SIZES, ("linear", "nano"), RNNSize(4, 256), RNNSize(2, 64)),
)
WORDS = ["the", "a", "king", "queen", "of", "and", "sword", "rose", "falls", "rises", "now", "then", "never", "\n"]


def prose(seed: int, words: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choices(WORDS, k=words))


def shrink(patch: pytest.MonkeyPatch) -> None:
    for sizes, name, _, smaller in SMALLER:
        patch.setitem(sizes, name, smaller)


def make(folder: Path, model: str, **training: Any) -> Path:
    copy_stages(folder)
    code = (folder / SIZES).read_text()
    for _, name, size, smaller in SMALLER:
        line = "{}: {}({})".format(repr(name).replace("'", '"'), type(size).__name__, ", ".join(map(str, size)))
        assert line in code
        code = code.replace(line, line.replace(", ".join(map(str, size)), ", ".join(map(str, smaller))))
    (folder / SIZES).write_text(code)
    source = folder / "data/raw/prose"
    source.mkdir(parents=True)
    for i in range(30):
        (source / f"{i}.txt").write_text(prose(i, 300))
    content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    section = content["datasets"]["shakespeare"] | {
        "source": "data/raw/prose",
        "split": {"validation": 0.2, "test": 0.2},
        "preprocessing": {"tokenizer": "bpe", "vocabulary": 300, "normalisation": "nfc"},
    }
    content |= {"dataset": "own", "model": model, "datasets": {"own": section}}
    content["models"][model]["network"] |= {"context": 32}
    content["models"][model]["training"] |= training
    dump(content, folder / "params.yaml")
    return folder
