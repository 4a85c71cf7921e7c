"""One spelling for each class, whatever the file's types and encodings: 1, 1.0 and "1" are one class, and so are é in
one character and in two.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

RESPELLED = "its label is spelled as that of others of its class"  # what a report says of a changed one
TRUTHS = ("True", "TRUE", "False", "FALSE")
WHOLE = re.compile(r"([+-]?\d+)\.0+")
EXACT = 2.0**53  # floats up to here are exact integers
# Characters that nobody sees. Joiners are left inside a name, where some scripts and emoji need them.
UNSEEN = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"))
UNSEEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
JOINERS = "\u200c\u200d"


def of(value: Any) -> str:
    """The class that a cell names: whole numbers without a point, truth values as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    text = clean(f"{value:f}" if isinstance(value, Decimal) else str(value))
    if text in TRUTHS:  # as pandas and Excel write them
        return text.lower()
    whole = WHOLE.fullmatch(text) if text[-1:] == "0" else None
    return whole[1] if whole else text


def clean(name: str) -> str:
    """A name in Unicode's form NFC, without blanks around it and characters that nobody sees; its lines, if it has
    several, end alike.
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
    """RESPELLED where a name, or one of several, is not as the cell has it."""
    return None if name == cell else RESPELLED


def note(names: Iterable[str], what: str | None) -> str | None:
    """Which names differ only in case or blanks: a warning, in a line. `what` they are; None: nothing is learnt of
    them.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        plain = unicodedata.normalize("NFKC", name).casefold()
        alike["".join(char for char in plain if not (char.isspace() or char in JOINERS))].append(name)
    groups = [" and ".join(map(repr, some)) for some in alike.values() if len(some) > 1]
    if not groups or what is None:
        return None
    more = f" (and {len(groups) - 3:,} more)" if len(groups) > 3 else ""
    return f"{what} that differ only in case or blanks: {'; '.join(groups[:3])}{more}: spell them alike if they are one"
