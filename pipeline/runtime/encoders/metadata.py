"""The metadata of an image file. As in browsers, damage in it is no reason to refuse the image."""

import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from PIL import Image

T = TypeVar("T")

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
TRANSPARENCY, TURNED, COLOURS = b"tRNS", b"eXIf", b"iCCP"  # chunks of PNG, besides those that every reader must know
ADOBE, EXIF, ICC = (0xEE, b"Adobe\0"), (0xE1, b"Exif"), (0xE2, b"ICC_PROFILE")  # segments of JPEG
START_OF_SCAN = 0xDA


def without_damage(content: bytes, read: Callable[[bytes], T]) -> T:
    """What `read` makes of an image file. Where it fails, it is tried again without metadata other than orientation and
    colour profile, and then without those too. Raises what `read` raises for the whole file.
    """
    try:
        return read(content)
    except Image.DecompressionBombError:
        raise
    except Exception as error:
        for kept in (((TURNED, COLOURS), (EXIF, ICC)), ((), ())):
            try:
                return read(_stripped(content, *kept))
            except Exception:
                continue
        raise error


def _stripped(content: bytes, chunks: tuple[bytes, ...], segments: tuple[tuple[int, bytes], ...]) -> bytes:
    if content.startswith(PNG):
        return PNG + b"".join(_chunks(content, (TRANSPARENCY, *chunks)))
    if content.startswith(JPEG):
        return JPEG + b"".join(_segments(content, (ADOBE, *segments)))
    return content


def _chunks(content: bytes, kept: tuple[bytes, ...]) -> Iterator[bytes]:
    """The critical chunks of a PNG file, whose names begin with a capital, and those that are `kept`."""
    start = len(PNG)
    while start < len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        name, chunk = content[start + 4 : start + 8], content[start:end]
        is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name[:1].isupper() or name == TRANSPARENCY or (name in kept and is_sound):
            yield chunk
        start = end


def _segments(content: bytes, kept: tuple[tuple[int, bytes], ...]) -> Iterator[bytes]:
    """The segments of a JPEG file, of those with metadata only the `kept` ones."""
    start = len(JPEG)
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker, end = content[start + 1], start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        if marker == START_OF_SCAN:
            break
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_metadata or any(marker == m and content.startswith(s, start + 4) for m, s in kept):
            yield content[start:end]
        start = end
    yield content[start:]
