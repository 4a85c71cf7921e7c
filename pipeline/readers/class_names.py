"""One spelling for each class, whatever the file's types and encodings: 1, 1.0 and "1" are one class, and so are é in
one character and in two.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

NORMALISED = "a label was normalised (1.0 to 1, True to true, Unicode to NFC)"  # as the report says it
BOOLEANS = ("True", "TRUE", "False", "FALSE")
MISSING = ("nan", "null", "n/a", "#n/a", "<na>", "nat")  # as programs write it
WHOLE = re.compile(r"([+-]?\d+)\.0+")
EXACT = 2.0**53  # floats up to here are exact integers
# Invisible characters. Joiners are left inside a name, where some scripts and emoji need them.
UNSEEN = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"))
UNSEEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
JOINERS = "\u200c\u200d"


def of(value: Any) -> str:
    """The class that a cell names: whole numbers without a decimal point, booleans as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    text = clean(f"{value:f}" if isinstance(value, Decimal) else str(value))
    if text in BOOLEANS:  # as pandas and Excel write them
        return text.lower()
    whole = WHOLE.fullmatch(text) if text[-1:] == "0" else None
    return whole[1] if whole else text


def clean(name: str) -> str:
    """A name in Unicode's form NFC, without invisible characters and whitespace around it. All its line breaks are
    LF.
    """
    if "\r" in name:
        name = name.replace("\r\n", "\n").replace("\r", "\n")
    return name.strip() if name.isascii() else _clean(name)


@lru_cache(1_000)
def _clean(name: str) -> str:
    name = unicodedata.normalize("NFC", name.translate(UNSEEN)).strip()
    while name != (name := name.strip(JOINERS).strip()):
        pass
    return name


def change(name: Any, cell: Any) -> str | None:
    """NORMALISED where a name, or one of several, differs from its cell."""
    return None if name == cell else NORMALISED


def missing(counts: Mapping[str, int], what: str | None) -> str | None:
    """Which names stand for a missing one: a warning, in a line. `what` they are; None: nothing is learnt of them."""
    found = [f"{name!r} ({counts[name]:,})" for name in sorted(counts) if name.casefold() in MISSING]
    if not found or what is None:
        return None
    return f"{what} that look like missing labels: {', '.join(found)}: empty those cells if they are"


def note(names: Iterable[str], what: str | None) -> str | None:
    """A warning, in one line, of names that differ only in case or whitespace. `what` says what they are; None: they
    are not learnt.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        plain = unicodedata.normalize("NFKC", name).casefold()
        alike["".join(char for char in plain if not (char.isspace() or char in JOINERS))].append(name)
    groups = [" and ".join(map(repr, some)) for some in alike.values() if len(some) > 1]
    if not groups or what is None:
        return None
    more = f" (and {len(groups) - 3:,} more)" if len(groups) > 3 else ""
    named = f"{'; '.join(groups[:3])}{more}"
    return f"{what} that differ only in case or whitespace: {named}: spell them alike if they mean the same"
