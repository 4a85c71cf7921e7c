"""The data that the pages speak of as a reader's own: made up, and easy to learn.

All texts of a kind fall into one bucket of lengths, so that a stage compiles once.
"""

import csv
import random
from pathlib import Path

from PIL import Image, ImageDraw

GOOD, BAD = ("wonderful", "lovely", "great", "moving"), ("dull", "awful", "boring", "weak")
OTHER: tuple[str, ...] = (
    "a",
    "the",
    "film",
    "story",
    "plot",
    "scene",
    "it",
    "was",
    "with",
    "and",
    "very",
    "quite",
    "end",
)
FIRST, LAST = ("Ada", "Grace", "Alan", "Emmy", "Kurt"), ("Hopper", "Alan", "Kurt", "Emmy", "")


def shapes(raw: Path) -> None:
    """Circles and squares of any size, as PNG with and without transparency and as JPEG."""
    draw = random.Random(0)
    for i in range(120):
        for kind in ("circle", "square"):
            width, height = draw.randrange(30, 90), draw.randrange(30, 90)
            image = Image.new(draw.choice(["RGB", "RGBA", "L"]), (width, height), "black")
            size = draw.randrange(15, min(width, height))
            x, y = draw.randrange(width - size), draw.randrange(height - size)
            pen = ImageDraw.Draw(image)
            (pen.ellipse if kind == "circle" else pen.rectangle)((x, y, x + size, y + size), fill="white")
            png = kind == "circle" or (image.mode == "RGBA" and i != 1)
            path = raw / "shapes" / kind / f"{i}.{'png' if png else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            (image if png else image.convert("RGB")).save(path)


def opinion(draw: random.Random) -> tuple[str, str]:
    """A label, and a text that one word in it gives away."""
    label = draw.choice(["good", "bad", "bad"])
    words = draw.choices(OTHER, k=draw.randrange(8, 16))
    words.insert(draw.randrange(len(words)), draw.choice(GOOD if label == "good" else BAD))
    return label, " ".join(words)


def reviews(raw: Path) -> None:
    draw = random.Random(0)
    with (raw / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("stars", "review"), *(opinion(draw) for _ in range(500))])


def book(raw: Path) -> None:
    draw = random.Random(0)
    (raw / "book.txt").write_text("".join(f"{opinion(draw)[1].capitalize()}.\n" for _ in range(800)))


def questions(raw: Path) -> None:
    draw = random.Random(0)
    (raw / "questions.txt").write_text("".join(f"{' '.join(opinion(draw))}\n" for _ in range(400)))


def names(raw: Path) -> None:
    """People who meet: whether a word begins a name, its neighbours say."""
    draw = random.Random(0)
    lines = []
    for _ in range(400):
        for end in ("met", "saw", ""):
            one, two = draw.choice(FIRST), draw.choice(LAST)
            lines += [f"{one}\tB-PER", *([f"{two}\tI-PER"] if two else []), *([f"{end}\tO"] if end else [])]
        lines.append("")
    (raw / "names.conll").write_text("\n".join(lines))
