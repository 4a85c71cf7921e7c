"""A cell of a table as text."""

from typing import Any


class Refusal(Exception):
    """Why a row cannot be used."""


def text(value: Any, what: str) -> str:
    """A cell as text; "" where it is missing. Numbers are written as in Python: 3, 3.0, True. Raises Refusal."""
    if value is None or value != value:  # pandas stores what is missing as NaN
        return ""
    if isinstance(value, (bytes, list, dict)):
        raise Refusal(f"its {what} is neither a text nor a number")
    content = str(value)
    if "\0" in content or not _is_unicode(content):
        raise Refusal(f"its {what} holds a NUL byte or a lone surrogate")
    return content


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can write half of a surrogate pair
        return False
    return True
