"""A table with a row for each example: CSV, TSV, JSON Lines or Parquet, plain or .gz; or a folder of such tables.

A column holds the text, or the path of an image relative to the table's folder; in Parquet, also the image itself.
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.readers import class_names, numbers, raw_data, split_names
from pipeline.readers.example import Example, Label, Refused, Split
from pipeline.readers.formats.image_folder import SUFFIXES as PICTURES
from pipeline.readers.section import DataSection
from pipeline.readers.split import HELD_OUT
from pipeline.runtime.encoders import images
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import cells, files, table_rows
from pipeline.runtime.reading.cells import Refusal
from pipeline.runtime.reading.delimited import Form, Quoting
from pipeline.runtime.reading.table_rows import SUFFIXES

ADDRESS, DRIVE = re.compile(r"\w+://"), re.compile(r"[A-Za-z]:[\\/]")
WRITTEN = re.compile(r"\[.*\]|[({]\s*['\"].*[)}]|\(\)|set\(\)", re.DOTALL)
WITHOUT_COMMA = re.compile(r"""(['"])\s+(?=['"])""")
SHORT = 100  # characters: names of classes are shorter, and occur often
MOST = 1e30  # of a target: squares must fit into 64 bits, and standardised numbers into 32


class Unlabelled(Refusal):
    """A row that only lacks its label."""

    def __init__(self, reason: str, split: Split | None) -> None:
        super().__init__(reason)
        self.split: Split | None = split


def _columns(value: Any) -> Any:
    """A single column, or the list of some; each once."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise PydanticCustomError("no_columns", "must name a column, or a list of columns")
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("twice", "names the column {name} twice", {"name": name})
    return tuple(names)


Columns = Annotated[tuple[str, ...], BeforeValidator(_columns, json_schema_input_type=str | list[str])]


class Reader(DataSection):
    """The names of the columns. `split` and `group` are optional, and their cells may be empty."""

    one_per_file: ClassVar = False
    suffixes: ClassVar = SUFFIXES

    format: Literal["table"]
    text: str | None = None
    image: str | None = None
    label: str | None = None  # one label an example
    labels: Columns | None = None  # several: a column with all of them, or a column of 0 and 1 for each
    separator: str | None = None  # between the labels in a cell, unless it holds a list
    targets: Columns | None = None  # numbers
    decimal: Literal[".", ","] = "."  # what stands before their decimals
    split: str | None = None
    group: str | None = None
    slices: Columns | None = None
    """Columns of a table, such as a country or a device: evaluate also gives its figures for each of their values."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None  # between cells; null: what fits best
    quoting: Quoting | None = None  # minimal: cells may stand in quotes; none: quotes are text; null: what fits best

    @property
    def content(self) -> str:
        return "text" if self.text is not None else "image"

    @property
    def labels_are(self) -> str:
        return "label" if self.label is not None else "labels" if self.labels is not None else "numbers"

    @model_validator(mode="after")
    def _has_one_of_each(self) -> Self:
        if (self.text is None) == (self.image is None):
            raise PydanticCustomError("one_content", "must name a column either as text or as image")
        if [self.label, self.labels, self.targets].count(None) != 2:
            raise PydanticCustomError("one_label", "must name columns as one of label, labels and targets, and no more")
        if self.separator is not None and (not self.separator or self.labels is None or len(self.labels) > 1):
            raise PydanticCustomError(
                "no_labels",
                "separator stands between labels in the cells of one column: name it as labels, or remove it",
            )
        if self.decimal == "," and self.targets is None:
            raise PydanticCustomError("no_targets", "decimal is for numbers: name their columns as targets")
        return self

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        form = Form(self.delimiter, self.quoting, self.encoding)
        for entry in files.entries(source, encoding=self.encoding):
            suffix = PurePosixPath(entry.name).suffix.lower()
            if suffix not in SUFFIXES:
                if entry.path == source:
                    raise UserError(f"{source}: is not a table: its name must end with {', '.join(SUFFIXES)}")
                if self.image is None or suffix not in PICTURES:  # otherwise a row may name it
                    yield Refused(entry.where, f"not a table ({', '.join(SUFFIXES)})")
                continue
            split = rules(entry).split
            if split in HELD_OUT and self._lacks_labels(entry, form):
                yield Refused(entry.where, "has no label", split)
                continue
            for number, row in table_rows.read(entry, self._columns(), form):
                where = f"{entry.where} row {number}"
                try:
                    yield self._example(row, where, entry, split)
                except Unlabelled as refusal:
                    yield Refused(where, str(refusal), refusal.split)
                except Refusal as refusal:
                    yield Refused(where, str(refusal))

    def _columns(self) -> list[str]:
        names = [self.text, self.image, *self._label_columns(), self.split, self.group, *(self.slices or ())]
        return list(dict.fromkeys(name for name in names if name is not None))

    def _lacks_labels(self, entry: files.Entry, form: Form) -> bool:
        """Whether a table has all columns but those of the labels."""
        missing = set(self._columns()).difference(table_rows.columns(entry, form))
        return bool(missing) and missing <= set(self._label_columns())

    def _label_columns(self) -> tuple[str, ...]:
        return (self.label,) if self.label is not None else self.labels or self.targets or ()

    def _label(self, row: dict[str, Any], where: str, split: Split | None) -> Label:
        if self.label is not None:
            label = _name(row[self.label], "label")
            if not label:
                raise Unlabelled("its label is empty", split)
            return label
        if self.targets is not None:
            return {name: _number(row[name], name, split, self.decimal) for name in self.targets}
        if self.labels is not None and len(self.labels) == 1:
            return _labels(row[self.labels[0]], self.separator, where)
        return tuple(name for name in self._label_columns() if _is_set(row[name], name, split))

    def _example(self, row: dict[str, Any] | str, where: str, entry: files.Entry, split: Split | None) -> Example:
        if isinstance(row, str):
            raise Refusal(row)
        if self.split is not None and (cell := cells.text(row[self.split], "split").strip()):
            split = split_names.word(cell)
            if split is None:
                raise Refusal(f"its split is none of {split_names.ALLOWED}")
        label = self._label(row, where, split)
        group = _name(row[self.group], "group") if self.group is not None else ""
        content: bytes | str
        if self.text is not None:
            content = cells.text(row[self.text], "text")
            if not content.strip():
                raise Refusal("its text is empty")
        else:
            content = _picture(row[cast(str, self.image)], entry)
        changed = None
        if self.label is not None and label != (cell := row[self.label]):
            changed = class_names.change(label, str(cell).strip())
        slices = {name: cells.text(row[name], name).strip() for name in self.slices} if self.slices else None
        return Example(where, content, label, split, group or None, changed=changed, slices=slices)


def _labels(value: Any, separator: str | None, where: str) -> tuple[str, ...]:
    """The labels in a cell, each once, in order: a list, or a text with a separator. An empty cell has none."""
    text = "" if isinstance(value, list) else cells.text(value, "labels").strip()
    if isinstance(value, list) or (value := listed(text)) is not None:
        names = [_name(item, "list of labels") for item in value]
    else:
        if text and separator is None:
            raise UserError(
                f"{where}: its labels are the text {text[:60]!r}, not a list: set separator to what "
                "stands between two labels, or name a column of 0 and 1 for each label"
            )
        names = [class_names.of(name) for name in text.split(separator)] if text else []
    return tuple(dict.fromkeys(name for name in names if name))


def listed(text: str) -> list[Any] | None:
    """The list that a cell writes out, as pandas, NumPy and JSON do: ['a', 'b']. None for another text."""
    if not WRITTEN.fullmatch(text):
        return None
    try:
        value = ast.literal_eval(WITHOUT_COMMA.sub(r"\1,", text))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return list(value) if isinstance(value, list | tuple | set) else None


def _is_set(value: Any, name: str, split: Split | None) -> bool:
    """Whether an example has the label whose column this is."""
    text = cells.text(value, f"label {name}").strip().lower()
    if text in ("0", "0.0", "false", "no"):
        return False
    if text in ("1", "1.0", "true", "yes"):
        return True
    if not text:
        raise Unlabelled(f"its column {name} is empty", split)
    raise Refusal(f"its column {name} is {text[:40]!r}, neither 0 nor 1")


def _number(value: Any, name: str, split: Split | None, decimal: str) -> float:
    text = cells.text(value, f"target {name}").strip()
    if not text:
        raise Unlabelled(f"its target {name} is empty", split)
    plain, cure = text, ""
    if decimal == "," and isinstance(value, str):
        plain = numbers.without_decimal_comma(text) or ""
        cure = ": with decimal ',', a point stands between thousands" if numbers.is_plain(text) else ""
    elif numbers.without_decimal_comma(text):
        cure = ": if its comma stands before decimals, set decimal to ','"
    if not numbers.is_plain(plain):
        raise Refusal(f"its target {name} is {text[:40]!r}, not a number{cure}")
    if abs(float(plain)) > MOST:
        raise Refusal(f"its target {name} is {text[:40]}, too large to be learnt")
    return float(plain)


def _name(value: Any, what: str) -> str:
    """A cell as the name of a class or a group."""
    if isinstance(value, str) and len(value) < SHORT:
        return _short_name(value, what)
    text = cells.text(value, what)
    return class_names.of(text if isinstance(value, str) else value) if text else ""


@lru_cache(10_000)
def _short_name(cell: str, what: str) -> str:
    return class_names.of(cells.text(cell, what))


def _picture(value: Any, entry: files.Entry) -> bytes:
    if isinstance(value, dict):  # the way Hugging Face stores images
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, bytes):
        value = _picture_file(cells.text(value, "image").strip(), entry)
    if reason := images.check(value):
        raise Refusal(f"its image {reason}")
    return value


def _picture_file(name: str, entry: files.Entry) -> bytes:
    if not name:
        raise Refusal("its image is empty")
    if entry.path is None:
        raise UserError(f"{entry.where}: a table with paths of images cannot be read in an archive: unpack it")
    if ADDRESS.match(name):
        raise Refusal("its image is an address, not a file: download the images, and write their paths")
    if "\\" in name and not (entry.path.parent / name).exists():
        name = name.replace("\\", "/")  # as Windows writes paths
    if Path(name).is_absolute() or DRIVE.match(name) or ".." in Path(name).parts:
        raise Refusal("its image lies outside the table's folder")
    path = entry.path.parent / name
    raw_data.refuse_folder_links(path)
    try:
        is_file = path.is_file()
    except OSError as error:
        raise Refusal("its image does not exist") from error  # its name is too long
    if not is_file:
        raw_data.refuse_left_behind(path)
        raise Refusal("its image does not exist")
    return files.read(files.Entry(name, str(path), lambda: path.open("rb")))
