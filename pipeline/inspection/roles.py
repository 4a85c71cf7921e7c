"""Which column of a table is the input, which should be predicted, and which say a row's split and group."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pipeline.inspection.columns import Column
from pipeline.runtime.errors import UserError

CLEARLY = 2.0  # the likeliest text has so many times the next one's score

KEYS = {"label": "label", "labels": "labels", "numbers": "targets"}  # of the reader, by what a task learns


class Given(NamedTuple):
    """What the user said already."""

    text: str | None = None
    image: str | None = None
    label: str | None = None
    labels: tuple[str, ...] | None = None
    separator: str | None = None
    targets: tuple[str, ...] | None = None
    split: str | None = None
    group: str | None = None
    encoding: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        one = (self.text, self.image, self.label, self.split, self.group)
        return (*(name for name in one if name is not None), *(self.labels or ()), *(self.targets or ()))


class Option(NamedTuple):
    """A possible part of the reader's section."""

    settings: dict[str, Any]
    flag: str  # of the command line, which chooses it
    why: str
    likely: bool = False  # by its name


Ask: TypeAlias = Callable[[str, Sequence[Option]], Option]


def find(source: Path, columns: Sequence[Column], given: Given, learns: str | None, ask: Ask) -> dict[str, Any]:
    """The options of the reader. `learns` is what the task needs: label, labels or numbers; None: whatever there is.

    Raises UserError where a column that was named does not exist, or nothing can be the input or be learnt.
    """
    names = [column.name for column in columns]
    for name in given.columns:
        if name not in names:
            raise UserError(f"{source}: has no column {name} (its columns: {', '.join(names)})")
    free = [column for column in columns if column.name not in given.columns]
    found: dict[str, Any] = {}
    split = given.split or next((column.name for column in free if column.is_split), None)
    free = [column for column in free if column.name != split and not column.is_split]
    if given.text is None and given.image is None:
        found |= _pick(source, "input", _contents(free), ask)
    found |= {key: value for key, value in (("text", given.text), ("image", given.image)) if value is not None}
    free = [column for column in free if column.name not in found.values()]
    group = given.group or next((column.name for column in free if column.is_group), None)
    free = [column for column in free if column.name != group]
    found |= _given_label(columns, given) or _pick(source, "label", _labels(free, learns), ask)
    return found | {key: value for key, value in (("split", split), ("group", group)) if value is not None}


def _contents(columns: Sequence[Column]) -> list[Option]:
    pictures = [_option("image", column, "images") for column in columns if column.is_picture]
    texts = sorted((c for c in columns if c.text_score > 0), key=lambda c: -c.text_score)
    texts = [c for c in texts if CLEARLY * c.text_score > texts[0].text_score]
    if pictures:
        texts = [c for c in texts if " " in "".join(c.texts[:20])]
    return pictures + [_option("text", column, f"texts, such as {column.texts[0][:50]!r}") for column in texts]


def _labels(columns: Sequence[Column], learns: str | None) -> list[Option]:
    """What can be learnt, of the kind that the task `learns`."""
    options: dict[str, list[Option]] = {"label": [], "labels": [], "numbers": []}
    flags = [column for column in columns if column.is_flag]
    if len(flags) > 1:
        names = [column.name for column in flags]
        quoted = " ".join(map(_quoted, names))
        options["labels"].append(Option({"labels": names}, f"--labels {quoted}", f"{len(names)} columns of 0 and 1"))
    for column in columns:
        if column.is_list:
            options["labels"].append(_option("labels", column, "lists of labels"))
            continue
        several = column.separator is not None and not column.is_surely_numeric
        if several:
            option = _option("labels", column, f"several labels, separated by {column.separator!r}")
            settings = option.settings | {"separator": column.separator}
            options["labels"].append(option._replace(settings=settings))
        is_one = column.is_label and (column.is_numeric or not several)
        if is_one and (len(flags) < 2 or column not in flags or learns == "label"):
            shown = ", ".join(label[:20] for label, _ in column.counts.most_common(3))
            why = f"{len(column.counts)} different values, such as {shown}"
            options["label"].append(_option("label", column, why))
    measures = [c for c in columns if c.is_measure or (learns == "numbers" and c.is_numeric and not c.is_id)]
    for column in measures:
        why = f"numbers, such as {', '.join(column.texts[:3])}"
        option = _option("targets", column, why)
        options["numbers"].append(option._replace(settings=option.settings | _decimal([column])))
    if len(measures) > 1 and len({column.has_decimal_commas for column in measures}) == 1:
        quoted = " ".join(_quoted(column.name) for column in measures)
        names = [column.name for column in measures]
        settings = {"targets": names} | _decimal(measures)
        options["numbers"].append(Option(settings, f"--targets {quoted}", "all of these numbers"))
    return options[learns] if learns in options else [option for kind in options.values() for option in kind]


def _given_label(columns: Sequence[Column], given: Given) -> dict[str, Any]:
    """What the user said should be predicted; of several labels in a cell, with what separates them."""
    if given.label is not None:
        return {"label": given.label}
    if given.targets:
        named = [column for column in columns if column.name in given.targets]
        return {"targets": _one_or_list(given.targets)} | _decimal(named)
    if not given.labels:
        return {}
    labels: dict[str, Any] = {"labels": _one_or_list(given.labels)}
    if len(given.labels) == 1:
        (column,) = (column for column in columns if column.name == given.labels[0])
        separator = given.separator or (None if column.is_list else column.separator)
        labels |= {"separator": separator} if separator else {}
    return labels


def _decimal(columns: Sequence[Column]) -> dict[str, str]:
    """What the reader has to know of these numbers."""
    return {"decimal": ","} if any(column.has_decimal_commas for column in columns) else {}


def _pick(source: Path, what: str, options: Sequence[Option], ask: Ask) -> dict[str, Any]:
    if not options:
        flags = "--text or --image" if what == "input" else "--label, --labels or --targets"
        raise UserError(f"{source}: no column looks like the {what}: name it with {flags}")
    likely = [option for option in options if option.likely]
    chosen = options[0] if len(options) == 1 else likely[0] if len(likely) == 1 else None
    question = "is the input" if what == "input" else "should be predicted"
    return (chosen or ask(f"{source}: which column {question}?", options)).settings


def _one_or_list(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _option(key: str, column: Column, why: str) -> Option:
    likely = key not in ("text", "image") and column.is_likely_label
    return Option({key: column.name}, f"--{key} {_quoted(column.name)}", why, likely)


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f"'{name}'"
