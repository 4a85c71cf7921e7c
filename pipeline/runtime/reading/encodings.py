"""Which encoding a text is in: by its byte order mark, by the encoding that is named, by its zero bytes; else UTF-8."""

import codecs
import unicodedata

HEAD = 1 << 16  # bytes that are looked at
MARKS = (  # byte order marks; that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
JAPANESE = (b"\x1b$B", b"\x1b$@")  # how ISO-2022-JP, which has no byte beyond ASCII, begins its characters
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
NO_CHARACTERS = ("Cc", "Cn", "Co", "Cs")  # Unicode's categories: control characters, unassigned, private, surrogates
MOST_ODD, MOST_BLANK = 0.1, 0.4  # the share of these in a text, and of blanks, at most
BLANKS = "\t\n\r "


def known(label: str) -> str | None:
    """Python's name for the encoding of a label, as browsers read it: iso-8859-1 is cp1252, and gb2312 is gb18030. Also
    those that only Python knows, such as cp437 and utf-7.
    """
    import webencodings  # only a text whose encoding is named needs it

    found = webencodings.lookup(label)
    if found is not None and found.name not in ("replacement", "x-user-defined"):
        return "gb18030" if found.name == "gbk" else found.codec_info.name
    try:
        codec = codecs.lookup(label.strip())
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return None
    is_text = getattr(codec, "_is_text_encoding", False)  # not so: hex, zlib, rot13
    if label != (name := codec.name.replace("_", "-")) and webencodings.lookup(name) is not None:
        return known(name)  # latin-1 is iso8859-1
    return codec.name if is_text and codec.name not in ("idna", "punycode", "undefined") else None


def of(head: bytes, named: str | None = None) -> str:
    """The encoding of a text that begins with `head`: by its byte order mark, else the one that is `named`, else a
    guess.
    """
    for mark, codec in MARKS:
        if head.startswith(mark):
            return codec
    if named is not None:
        return known(named) or "utf-8"
    if any(sign in head for sign in JAPANESE):
        return "iso2022_jp"
    return _by_zeros(head) if b"\0" in head else "utf-8"


def of_name(raw: bytes, named: str) -> str:
    """A name in an archive: in UTF-8, or else in this encoding. Raises UnicodeDecodeError."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(known(named) or named)


def _by_zeros(head: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, if it looks more like text in one of them than in UTF-8. The right
    one of the four decodes to the most whitespace and Latin letters.
    """
    if _odd(head, "utf-8") <= MOST_ODD:
        return "utf-8"
    least, latin, codec = min((_odd(head, codec), -_latin(head, codec), codec) for codec in WIDE)
    return codec if least <= MOST_ODD and latin else "utf-8"


def beginning(head: bytes, codec: str) -> str:
    """`head` as text, without the half of a character at its end. Raises UnicodeDecodeError."""
    return codecs.getincrementaldecoder(codec)().decode(head)


def _odd(head: bytes, codec: str) -> float:
    """The share of characters that no text contains; 1 where it cannot be decoded."""
    try:
        text = beginning(head, codec)
    except UnicodeDecodeError:
        return 1.0
    # In UTF-16, half of the bytes of Hindi are tabs, and of Gujarati line ends.
    if codec == "utf-8" and sum(char in BLANKS for char in text) > MOST_BLANK * len(text):
        return 1.0
    odd = sum(unicodedata.category(char) in NO_CHARACTERS and char not in BLANKS for char in text)
    return odd / len(text) if text else 1.0


def _latin(head: bytes, codec: str) -> float:
    try:
        text = beginning(head, codec)
    except UnicodeDecodeError:
        return 0.0
    return sum(char in BLANKS for char in text) + sum(char.isascii() for char in text) / (1 + len(text))
