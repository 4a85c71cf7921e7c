"""A check that every text goes through before it is encoded."""

from ..errors import UserError


def valid_text(text: str, name: str) -> str:
    """The text itself. Raises UserError if it holds half a surrogate pair, which has no UTF-8 encoding."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name}: not valid text at character {error.start + 1}: save it as UTF-8") from error
    return text
