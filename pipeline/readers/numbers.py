"""Numbers as texts write them: with a point before the decimals, or with a comma."""

import math
import re

# With points between thousands only where no reader could take one for a decimal point: 1.234,5 and 1.234.567.
COMMA = re.compile(r"[+-]?(\d+(,\d+)?|\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,})([eE][+-]?\d+)?")


def is_plain(text: str) -> bool:
    """Whether it is a finite number with a decimal point, or without decimals."""
    try:
        return math.isfinite(float(text.replace("_", "x")))  # float would take 1_000, and 2020_01
    except ValueError:
        return False


def without_decimal_comma(text: str) -> str | None:
    """A number with a decimal comma, or without decimals, as Python writes it; None for any other text."""
    return text.replace(".", "").replace(",", ".") if COMMA.fullmatch(text) else None


def have_decimal_commas(texts: list[str]) -> bool:
    """Whether all are numbers, some with a decimal comma. Where each comma could stand between thousands, as in 1,234,
    nobody can tell.
    """
    commas = [text for text in texts if "," in text]
    return any(not re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", text) for text in commas) and all(
        COMMA.fullmatch(text) for text in texts
    )
