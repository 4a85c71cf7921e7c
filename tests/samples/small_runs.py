"""A small run of each task, by its first three stages. Its texts and labels are as hostile as data can be."""

import random
from pathlib import Path
from typing import Any

from good_sources import SOURCES
from imports import TOP
from ruamel.yaml import YAML
from small_packages import copy_stages, dump, run_stages
from sources import write

HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, \u202e reversed",
    "\U0001f44d\U0001f3fd said \"quoted\" & 'single' {{ 7 * 7 }} {% raw %}",
    "x" * 2_000,
)
LABELS = ('<b>good & "fine"</b>', "\u05e8\u05e2 <img src=x onerror=alert(1)>")
SHOPS = ("<i>north</i>", "south", "")


def texts() -> str:
    """A word gives the label away, but for every tenth text, whose label is wrong."""
    draw, rows = random.Random(0), ["text,label,shop,stars"]
    for i in range(240):
        kind = draw.randrange(2)
        words = [*draw.choices(("the", "film", "was", "very"), k=6), ("great", "dull")[kind], str(i)]
        text = f"{' '.join(words)} {HOSTILE[i % 4] if i % 3 == 0 else ''}"
        label = LABELS[kind if i % 10 else 1 - kind]
        rows.append(",".join(_cell(cell) for cell in (text, label, SHOPS[i % 3], str(i % 5 + 1))))
    return "\n".join(rows) + "\n"


def label_sets() -> str:
    draw, rows = random.Random(1), ["text,labels"]
    for i in range(200):
        chosen = [word for word in ("red", "green", "blue") if draw.random() < 0.4]
        rows.append(f"a {' '.join(chosen)} thing {i},{'|'.join(chosen)}")
    return "\n".join(rows) + "\n"


def numbers() -> str:
    draw = random.Random(2)
    rows = [f"{'very ' * (size := draw.randrange(1, 9))}large {i},{size * 10 + draw.random()}" for i in range(200)]
    return "\n".join(["text,price", *rows]) + "\n"


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _good(form: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return next((options, contents) for options, contents in SOURCES if options["format"] == form)


TABLE = {"format": "table", "text": "text", "duplicates": "exact"}
RUNS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {  # section like, model, reader, files
    "images": ("fashion-mnist", "cnn", *_good("idx")),
    "texts": ("spam", "linear", TABLE | {"label": "label", "slices": ["shop", "stars"]}, {"a.csv": texts()}),
    "sets": (
        "multi-label-classification",
        "linear",
        TABLE | {"labels": "labels", "separator": "|"},
        {"a.csv": label_sets()},
    ),
    "numbers": ("regression", "linear", TABLE | {"targets": ["price"]}, {"a.csv": numbers()}),
    "tags": ("brown", "lstm", *_good("conll")),
    "writer": ("shakespeare", "gpt", *_good("text")),
}


def build(here: Path, name: str) -> None:
    """The first three stages of a run."""
    like, model, options, contents = RUNS[name]
    copy_stages(here)
    write(here / "data/raw/source", contents)
    everything = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    section = everything["datasets"].get(like) or {"task": {"name": like}, "preprocessing": {}}
    section["data"] = {"source": "data/raw/source", "validation": 0.2, "test": 0.4, **options}
    if name == "numbers":
        section["task"] |= {"units": {"price": "EUR"}}
    everything |= {"dataset": "own", "model": model, "datasets": {"own": section}}
    everything["models"][model]["training"] |= {"epochs": 20 if model == "linear" else 1, "batch_size": 8}
    everything["models"][model]["network"] |= {"context": 16} if model == "gpt" else {}
    dump(everything, here / "params.yaml")
    run_stages(here, "prepare", "preprocess", "train")
