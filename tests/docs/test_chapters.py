"""The README's chapters on your own data, models and readers are true: each is followed word for word in a clone.

What a chapter shows is what a person would do: a file in a `python` block is written, a `diff` is applied, a `yaml`
block goes into params.yaml, a `console` block is typed. Only the data is made here.
"""

import csv
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clone import run
from PIL import Image, ImageDraw
from test_readme import README, agree, plain

pytestmark = pytest.mark.slow


def chapter(title: str) -> str:
    """The text below a heading of the third level."""
    return README.split(f"### {title}\n")[1].split("\n##")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """Its fenced blocks, with their language."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def follow(text: str, folder: Path) -> None:
    """Does what the chapter says."""
    names = iter(re.findall(r"`(pipeline/\w+/\w+\.py)`(?: say)?[,:]", text))
    for language, content in blocks(text):
        match language:
            case "python":
                (folder / next(names)).write_text(content)
            case "diff":
                (folder / "change.diff").write_text(content)
                run("git apply change.diff && rm change.diff", folder)
            case "yaml":
                section = "models" if "network:" in content else "datasets"
                params = (folder / "params.yaml").read_text()
                (folder / "params.yaml").write_text(params.replace(f"\n{section}:\n", f"\n{section}:\n{content}\n", 1))
            case "console":
                for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                    command, _, shown = part.partition("\n")
                    output = run(command, folder)
                    assert agree(command, plain(output), plain(shown)), f"$ {command}\n{output}"


def shapes(raw: Path) -> None:
    """Circles and squares of any colour and size, as PNG with and without transparency and as JPEG."""
    draw = random.Random(0)
    for i in range(120):
        for kind in ("circle", "square"):
            width, height = draw.randrange(30, 90), draw.randrange(30, 90)
            image = Image.new(draw.choice(["RGB", "RGBA", "L"]), (width, height), "black")
            size = draw.randrange(15, min(width, height))
            x, y = draw.randrange(width - size), draw.randrange(height - size)
            pen = ImageDraw.Draw(image)
            (pen.ellipse if kind == "circle" else pen.rectangle)((x, y, x + size, y + size), fill="white")
            path = raw / "shapes" / kind / f"{i}.{'png' if (kind == 'circle') or image.mode == 'RGBA' else 'jpg'}"
            path = path.with_suffix(".jpg") if (kind, i) == ("square", 1) else path
            path.parent.mkdir(parents=True, exist_ok=True)
            (image.convert("RGB") if path.suffix == ".jpg" else image).save(path)


GOOD, BAD = ("wonderful", "lovely", "great", "moving"), ("dull", "awful", "boring", "weak")
REST = [
    "a",
    "the",
    "film",
    "story",
    "plot",
    "actor",
    "scene",
    "it",
    "was",
    "with",
    "and",
    "very",
    "quite",
    "music",
    "end",
]


def opinion(draw: random.Random) -> tuple[str, str]:
    label = draw.choice(["good", "bad", "bad"])
    words = draw.choices(REST, k=draw.randrange(4, 30))
    words.insert(draw.randrange(len(words)), draw.choice(GOOD if label == "good" else BAD))
    return " ".join(words), label


def reviews(raw: Path) -> None:
    draw = random.Random(0)
    with (raw / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("stars", "review"), *(opinion(draw)[::-1] for _ in range(500))])


def book(raw: Path) -> None:
    draw = random.Random(0)
    (raw / "book.txt").write_text("".join(f"{opinion(draw)[0].capitalize()}.\n" for _ in range(2_500)))


def questions(raw: Path) -> None:
    draw = random.Random(0)
    lines = (opinion(draw) for _ in range(400))
    (raw / "questions.txt").write_text("".join(f"{label} {text}\n" for text, label in lines))


def names(raw: Path) -> None:
    draw = random.Random(0)
    first, last = (
        ("Ada", "Grace", "Alan", "Emmy", "Kurt"),
        ("Hopper", "Alan", "Kurt", "Emmy", ""),
    )  # a name alone does not tell whether it begins one
    lines = []
    for _ in range(400):
        for verb in ("met", "saw"):
            for end in ("", verb):
                one, two = draw.choice(first), draw.choice(last)
                lines += [f"{one}\tB-PER", *([f"{two}\tI-PER"] if two else []), *([f"{end}\tO"] if end else [])]
        lines.append("")
    (raw / "names.conll").write_text("\n".join(lines))


def nothing(raw: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("title", "make"),
    [
        ("Your images", shapes),
        ("Your table of texts", reviews),
        ("Your tagged sentences", names),
        ("Your texts, for a language model", book),
        ("A new model", nothing),
        ("A new reader", questions),
    ],
)
def test_a_chapter_works_word_for_word(small: Path, tmp_path: Path, title: str, make: Callable[[Path], None]) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "clone", symlinks=True))
    make(folder / "data/raw")
    follow(chapter(title), folder)
    figures = json.loads((folder / "metrics/evaluate.json").read_text())["test"]
    assert figures["accuracy"] > figures["baseline_accuracy"]
    assert np.isfinite(figures["loss"])
