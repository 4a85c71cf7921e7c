"""What a column of a table can be, by its values: text, image, label, several labels, number, split or group."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.readers import numbers
from pipeline.readers.formats.image_folder import SUFFIXES as PICTURES
from pipeline.readers.formats.table import listed
from pipeline.readers.split_names import word

PICTURE = object()  # stands for the bytes of one
MISSING = {"n/a", "na", "nan", "null", "none", "-", "?"}  # a reader refuses such numbers, and the rest is of use
YES_OR_NO = {"0", "1", "0.0", "1.0", "false", "true", "no", "yes"}
SEPARATORS = ("|", ";", ",", "/", " ")  # between labels, in the order in which they are tried
MOST_LABELS, LABEL_LENGTH = 1_000, 60  # different ones; characters, on average
ID_NAME = re.compile(r"(?i)(id|index|nr|no|number|unnamed.*|.*[_ -]id|)")
GROUP_NAME = re.compile(r"(?i).*(author|user|patient|group|speaker|subject|person|session|customer|autor|gruppe).*")
LABEL_NAME = re.compile(
    r"(?i)(labels?|class(es)?|categor(y|ies)|targets?|y|sentiment|stars|rating|score|tags?|genres?|topics?|intent|"
    r"klassen?|kategorien?|bewertung|thema|themen|art)"
)
DATE_OR_LINK = re.compile(r"(https?://\S+|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*)")


@dataclass(frozen=True)
class Column:
    """A column, and what its cells say of it. Rates are those of the cells that are not empty."""

    name: str
    cells: tuple[Any, ...]  # of some rows
    folder: Path | None = None  # of the table, where it is on disk

    @cached_property
    def full(self) -> list[Any]:
        """The cells that are not empty."""
        return [cell for cell in self.cells if cell is not None and cell == cell and cell != ""]

    @cached_property
    def texts(self) -> list[str]:
        """The cells as text, where all are texts or numbers."""
        plain = all(isinstance(cell, str | int | float) for cell in self.full)
        return [text for cell in self.full if (text := str(cell).strip())] if plain else []

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(self.texts)

    @property
    def fullness(self) -> float:
        return len(self.full) / max(1, len(self.cells))

    @property
    def length(self) -> float:
        """Characters, on average."""
        return sum(map(len, self.texts)) / max(1, len(self.texts))

    @cached_property
    def values(self) -> list[str]:
        """The texts but those that stand for a missing value, if these are few."""
        values = [text for text in self.texts if text.lower() not in MISSING]
        return values if len(values) > 0.9 * len(self.texts) else self.texts

    @property
    def is_numeric(self) -> bool:
        return bool(self.values) and (all(map(numbers.is_plain, self.values)) or self.has_decimal_commas)

    @cached_property
    def has_decimal_commas(self) -> bool:
        return all(isinstance(cell, str) for cell in self.full) and numbers.have_decimal_commas(self.values)

    @property
    def is_surely_numeric(self) -> bool:
        """Whether its cells could not be several labels either, such as 5,8."""
        return self.is_numeric and (not self.has_decimal_commas or numbers.are_surely_decimals(self.values))

    @property
    def is_id(self) -> bool:
        """Whether it only tells rows apart."""
        distinct = len(self.counts) == len(self.texts)
        whole = all(re.fullmatch(r"\d+", text) for text in self.texts)
        return bool(self.texts) and distinct and (whole or (ID_NAME.fullmatch(self.name) is not None))

    @cached_property
    def is_picture(self) -> bool:
        """Whether it holds images, or their paths: where no such file exists, the reader says so."""
        if self.full and all(cell is PICTURE for cell in self.full):
            return True
        return bool(self.texts) and all(PurePosixPath(text).suffix.lower() in PICTURES for text in self.texts[:100])

    @property
    def is_split(self) -> bool:
        """Whether it names splits, and leaves some rows to training."""
        splits = {word(text) for text in self.counts}
        return bool(splits) and None not in splits and ("train" in splits or self.fullness < 1)

    @property
    def is_group(self) -> bool:
        """Whether it names what several rows are from. Values alone cannot tell that from a label: its name must."""
        return bool(GROUP_NAME.fullmatch(self.name)) and 2 < len(self.counts) < len(self.texts)

    @property
    def is_flag(self) -> bool:
        return len(self.counts) == 2 and {text.lower() for text in self.counts} <= YES_OR_NO and self.fullness == 1

    @property
    def is_label(self) -> bool:
        """Whether it has few different values, each of them often: five times on average."""
        few = 2 <= len(self.counts) <= min(MOST_LABELS, max(2, len(self.texts) // 5))
        return few and self.length <= LABEL_LENGTH and not self.is_id

    @property
    def is_measure(self) -> bool:
        """Whether it holds numbers, too many different ones for classes."""
        return self.is_numeric and not self.is_id and not self.is_label and len(self.counts) > 10

    @property
    def is_list(self) -> bool:
        """Whether its cells are lists of texts or numbers, or write such lists out."""
        lists = (listed(cell) if isinstance(cell, str) else cell for cell in self.full)
        return bool(self.full) and all(
            isinstance(cell, list) and all(isinstance(item, str | int | float) for item in cell) for cell in lists
        )

    @cached_property
    def separator(self) -> str | None:
        """What stands between several labels in its cells, where they hold such: the parts are far fewer than the
        cells, repeat, are never twice in one cell, and are no more than the different cells.
        """
        for separator in SEPARATORS:
            cells = [[part.strip() for part in text.split(separator)] for text in self.texts]
            parts = {part for cell in cells for part in cell}
            several = sum(len(cell) > 1 for cell in cells)
            fewer = (2 if separator == " " else 1) * len(parts) <= len(self.counts)
            few = 2 <= len(parts) <= min(MOST_LABELS, len(self.texts) // 5) and fewer
            once = all(len(set(cell)) == len(cell) and "" not in cell for cell in cells)
            if few and once and several > 0.05 * len(cells) and max(map(len, parts)) <= LABEL_LENGTH:
                return separator
        return None

    @cached_property
    def text_score(self) -> float:
        """How much it looks like a text: characters, on average, times the rate of different values; 0 for none."""
        texts = self.texts
        if not texts or self.is_numeric or self.is_picture or self.is_split or not self.fullness > 0.5:
            return 0.0
        if sum(bool(DATE_OR_LINK.fullmatch(text)) for text in texts) > 0.8 * len(texts):
            return 0.0
        several_words = sum(" " in text or not text.isascii() for text in texts) / len(texts)
        distinct = len(self.counts) / len(texts)
        return self.length * distinct * (0.1 + several_words) if distinct > 0.3 else 0.0

    @property
    def is_likely_label(self) -> bool:
        """Whether its name is a usual one for what is to be learnt."""
        return LABEL_NAME.fullmatch(self.name) is not None
