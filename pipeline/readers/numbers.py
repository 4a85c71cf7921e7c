"""Numbers as texts write them: with a point before the decimals, or with a comma."""

import math
import re

WHOLE = r"(0|[1-9]\d*)"
POINTS = r"[1-9]\d{0,2}(\.\d{3})+"  # between thousands
COMMA = re.compile(rf"[+-]?({WHOLE}|{POINTS})(,\d+)?([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # or three decimals
# Two labels are not written like this: with a sign, with a point, or with a zero before another digit.
SURELY_COMMA = re.compile(rf"[+-].*,.*|{POINTS},.*|.*,0\d+")


def is_plain(text: str) -> bool:
    """Whether it is a finite number with a decimal point, or without decimals."""
    try:
        return math.isfinite(float(text.replace("_", "x")))  # float would take 1_000, and 2020_01
    except ValueError:
        return False


def without_decimal_comma(text: str) -> str | None:
    """A number with a decimal comma, or without decimals, as Python writes it; None for any other text. A point can
    only stand between thousands: 1.234 is 1234.
    """
    return text.replace(".", "").replace(",", ".") if COMMA.fullmatch(text) else None


def have_decimal_commas(texts: list[str]) -> bool:
    """Whether all are numbers, many with a decimal comma. Where commas could stand between thousands, as in 1,234, or
    points before decimals, nobody can tell.
    """
    commas = [text for text in texts if "," in text]
    pointed = any("." in text for text in commas)
    return (
        sum(not THOUSANDS.fullmatch(text) for text in commas) > len(commas) / 2
        and all(COMMA.fullmatch(text) for text in texts)
        and (pointed or not any("." in text for text in texts))
    )


def are_surely_decimals(texts: list[str]) -> bool:
    """Whether some of these could not be two labels with a comma between them."""
    return any(SURELY_COMMA.fullmatch(text) for text in texts)
