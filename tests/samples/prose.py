"""A folder for the stages: a small corpus of text, and params.yaml that chooses it and a small language model."""

import random
from pathlib import Path
from typing import Any

from imports import TOP
from ruamel.yaml import YAML
from small_packages import copy_stages, dump, shrink_code

WORDS = ["the", "a", "king", "queen", "of", "and", "sword", "rose", "falls", "rises", "now", "then", "never", "\n"]


def prose(seed: int, words: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choices(WORDS, k=words))


def make(folder: Path, model: str, **training: Any) -> Path:
    copy_stages(folder)
    shrink_code(folder)
    source = folder / "data/raw/prose"
    source.mkdir(parents=True)
    for i in range(30):
        (source / f"{i}.txt").write_text(prose(i, 300))
    content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    section = content["datasets"]["shakespeare"] | {
        "data": {"source": "data/raw/prose", "format": "text", "validation": 0.2},
        "preprocessing": {"tokenizer": "bpe", "vocabulary": 300, "normalisation": "nfc"},
    }
    content |= {"dataset": "own", "model": model, "datasets": {"own": section}}
    content["models"][model]["network"] |= {"context": 32}
    content["models"][model]["training"] |= training
    dump(content, folder / "params.yaml")
    return folder
