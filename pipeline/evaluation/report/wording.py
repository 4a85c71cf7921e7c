"""Numbers and names as people write them."""

import math
from collections.abc import Sequence

THIN = "\N{NARROW NO-BREAK SPACE}"
INTERVAL = f"95{THIN}% interval"
METRICS = {"r2": "R\N{SUPERSCRIPT TWO}", "micro_f1": "micro F1"}  # names that people write otherwise
ONES = {"images": "image", "texts": "text", "sentences": "sentence", "corpus": "document"}


def figure(value: float | int | None, *, is_share: bool, unit: str = "") -> str:
    """A share in per cent, another figure with its unit; a dash where there is none."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if is_share:
        return percent(value)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".") if value else "0"
    return f"{text}{THIN}{unit}" if unit else text


def percent(value: float | int) -> str:
    """With one digit behind the point; never 100 or 0 where something is left."""
    text = f"{100 * value:.1f}"
    if text == "100.0" and value < 1:
        text = "over 99.9"
    if text == "0.0" and value > 0:
        text = "under 0.1"
    return f"{text.removesuffix('.0') if value in (0, 1) else text}{THIN}%"


def span(low: float | int | None, high: float | int | None, *, is_share: bool, unit: str = "") -> str:
    """An interval, its unit named once."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "\N{EN DASH}"
    if not is_share:
        return f"{figure(low, is_share=False)} to {figure(high, is_share=False, unit=unit)}"
    return f"{100 * low:.1f} to {100 * high:.1f}{THIN}%"


def things(kind: str, count: int) -> str:
    """So many inputs of a kind, in words."""
    one = ONES[kind]
    return f"one {one}" if count == 1 else f"{count:,} {one}s"


def sentence(text: str) -> str:
    """With a capital letter; the others stay."""
    return text[:1].upper() + text[1:]


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def number(value: float | int) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"
