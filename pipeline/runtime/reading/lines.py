"""Texts, piece by piece and line by line: one decoder for all readers.

A line ends in LF, CR LF, CR CR LF or, as on old Macs, CR alone.
"""

import codecs
import io
from collections.abc import Iterator

from ..errors import UserError
from . import encodings
from .files import Entry, reading

MAX_LINE = 1 << 26  # characters: longer than any sentence or row of a table
MARK = "\ufeff"  # a byte order mark; also inside a file, where several files with one were joined


def decode(content: bytes, encoding: str | None = None) -> str:
    """The text in `content`. Raises UnicodeDecodeError."""
    return content.decode(encodings.of(content[: encodings.HEAD], encoding))


def pieces(entry: Entry, encoding: str | None = None) -> Iterator[str]:
    """The text in parts of some thousand characters. Raises UserError, naming line and byte, where it is not in its
    encoding.
    """
    with reading(entry.where), entry.open() as file:
        content = file.read(encodings.HEAD)
        codec = encodings.of(content, encoding)
        decoder = codecs.getincrementaldecoder(codec)()
        offset = 0
        while content:
            start = offset - len(decoder.getstate()[0])  # a character may have begun in the content before
            try:
                text = decoder.decode(content)
                offset += len(content)
                if not (content := file.read(encodings.HEAD)):
                    start = offset - len(decoder.getstate()[0])
                    text += decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                at = start + error.start
                raise UserError(
                    f"{entry.where}: is not {codec.upper().removesuffix('-SIG')} (line {_line(entry, codec, at)}, "
                    f"byte {at + 1:,} of the file): {cure(encoding)}"
                ) from error
            if text:
                yield text


def _line(entry: Entry, codec: str, at: int) -> int:
    """The line of the byte at that place."""
    decoder, line = codecs.getincrementaldecoder(codec)(), 1
    with entry.open() as file:
        while at > 0 and (content := file.read(min(at, encodings.HEAD))):
            text, at = decoder.decode(content), at - len(content)
            line += ends(text)
    return line


def ends(text: str) -> int:
    """How many lines end in a text."""
    return text.count("\n") + (text.count("\r") - text.count("\r\n") if "\r" in text else 0)


def cure(encoding: str | None) -> str:
    """What to do about a text that is not in this encoding; None: not in UTF-8."""
    if encoding is not None:
        return "correct encoding, or save it as UTF-8"
    return "save it as UTF-8, or set encoding (--encoding of add and predict), such as cp1252"


def lines(entry: Entry, encoding: str | None = None) -> Iterator[str]:
    """The lines, each with its ending. Raises UserError where the text is not in its encoding."""
    held: list[str] = []  # the beginning of a line
    size, row = 0, 0
    for piece in pieces(entry, encoding):
        if "\n" in piece or "\r" in piece:
            text = "".join([*held, piece])
            end = text.rstrip("\r")  # LF may follow
            end = max(end.rfind("\n"), end.rfind("\r")) + 1
            batch = split(text[:end])
            yield from batch
            held, size, row = [text[end:]], len(text) - end, row + len(batch)
        else:
            held.append(piece)
            size += len(piece)
        if size > MAX_LINE:
            raise UserError(
                f"{entry.where} line {row + 1}: is longer than {MAX_LINE:,} characters: is this a text file?"
            )
    yield from split("".join(held))


def split(text: str) -> list[str]:
    """The lines of a text, each with its ending."""
    ends = "\n"
    if "\r" in text:
        text = text.replace("\r\r\n", "\r\n")
        ends = "" if text.count("\r") > text.count("\r\n") else "\n"  # "" is all of them, and slower
    found = list(io.StringIO(text, newline=ends))
    return [line.lstrip(MARK) for line in found] if MARK in text else found
