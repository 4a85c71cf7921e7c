"""The examples of a source as a reader yields them, with what is kept of each: not its content, but how large it is."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from pipeline.readers import Example, Refused, keys, split
from pipeline.readers.example import Label
from pipeline.readers.keys import Keys, KeyTable
from pipeline.readers.split import Placements
from pipeline.runtime.encoders import images

MOST, SECONDS = 100_000, 20  # examples that are looked at, and for how long
LOOKED_INTO = 300  # pictures whose pixels are looked at
SHOWN, LONGEST = 3, 70  # examples that are shown, and characters of them
GREY = 12  # of 255: channels that differ by less look grey


class Picture(NamedTuple):
    width: int
    height: int
    is_grey: bool | None  # None: it was not looked into
    is_transparent: bool


class Observation(NamedTuple):
    """What is kept of an example."""

    keys: Keys
    label: Label
    words: int  # of a text or sentence
    characters: int
    picture: Picture | None


@dataclass
class Sample:
    """The first examples of a source: all of them, if it is `complete`."""

    seen: list[Observation] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)  # reason -> places
    unlabelled: Counter[str] = field(default_factory=Counter)  # of a split whose labels are all missing
    complete: bool = True

    @property
    def keys(self) -> KeyTable:
        return KeyTable(one.keys for one in self.seen)

    def placements(self, *, validation: float, test: float, learns: str | None) -> Placements:
        """The split that prepare would choose for each example; `learns` is what the task learns."""
        return split.assign(self.keys, validation=validation, test=test, learns=learns)


def take(items: Iterable[Example | Refused]) -> Sample:
    """Looks at the items, for SECONDS at most."""
    sample, end = Sample(), time.monotonic() + SECONDS
    refused: list[Refused] = []
    labels: set[str] = set()
    for item in tqdm(items, desc="look", unit=" examples", disable=None, delay=2, leave=False):
        if isinstance(item, Refused):
            refused.append(item)
        else:
            sample.seen.append(observe(item, look_inside=len(sample.seen) < LOOKED_INTO))
            kind = repr(item.label or sample.seen[-1].keys.id)
            if len(sample.shown) < SHOWN and kind not in labels:
                labels.add(kind)
                sample.shown.append(one_line(item, sample.seen[-1]))
        if len(sample.seen) >= MOST or time.monotonic() > end:
            sample.complete = False
            break
    for item in split.settle(refused, sample.keys):
        if item.reason in split.NO_SPLIT:
            sample.unlabelled[item.reason] += 1
        else:
            sample.refused.setdefault(item.reason, []).append(item.where)
    return sample


def observe(example: Example, *, look_inside: bool = True) -> Observation:
    """What is kept of an example."""
    content, picture, words, characters = example.content, None, 0, 0
    if isinstance(content, bytes):
        picture = _picture(content, look_inside)
    elif isinstance(content, str):
        words, characters = len(content.split()), len(content)
    else:
        words, characters = len(content), sum(map(len, content))
    return Observation(keys.of(example), example.label, words, characters, picture)


def _picture(content: bytes, look_inside: bool) -> Picture:
    width, height, mode, transparent = images.outside(content)
    grey = True if mode in ("1", "L", "LA", "F") or mode.startswith("I") else None
    if look_inside and (grey is None or transparent):
        pixels = images.load(content, "RGB", (64, 64)).convert("RGBA")
        pixels.thumbnail((64, 64))
        *colours, alpha = pixels.split()
        transparent = transparent and alpha.getextrema()[0] < 255  # type: ignore[operator]
        grey = grey or _is_grey(colours)
    return Picture(width, height, grey, transparent)


def _is_grey(channels: list[Image.Image]) -> bool:
    rows: Iterator[tuple[int, ...]] = zip(*(channel.tobytes() for channel in channels))
    return all(max(row) - min(row) < GREY for row in rows)


def one_line(example: Example, seen: Observation) -> str:
    """An example in one short line, for people: its label and the beginning of its content."""
    if isinstance(example.content, tuple):
        tags = example.label if isinstance(example.label, tuple) else ()
        return _short(" ".join(f"{word}/{tag}" for word, tag in zip(example.content[:LONGEST], tags)))
    if isinstance(example.content, str):
        content = example.content[: 10 * LONGEST]
    else:
        content = example.where.rpartition("/")[2]
        content += f", {seen.picture.width} x {seen.picture.height}" if seen.picture else ""
    return f"{label_text(example.label)}: {_short(content)}" if seen.label != "" else _short(content)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def label_text(label: Label) -> str:
    """A label, the labels of an example or its numbers, as people write them."""
    if isinstance(label, dict):
        return ", ".join(f"{name} {value:g}" for name, value in label.items())
    return label if isinstance(label, str) else ", ".join(dict.fromkeys(label)) or "(none)"
