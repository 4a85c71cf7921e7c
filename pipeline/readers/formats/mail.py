"""RFC 822 mails, one a file; the folder that a mail lies in is its class. Of the headers only the subject is kept."""

import email
import re
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.readers import files
from pipeline.readers.example import Example, Refused
from pipeline.readers.section import DataSection

# Bounded: otherwise matching would need quadratic time.
ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]{1,64}@[\w-]{1,64}(\.[\w-]{1,64})*")


class Reader(DataSection):
    content: ClassVar = "text"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True

    format: Literal["mail"]
    files: str = "*"  # only files whose name matches this pattern
    labels: dict[str, str] | None = None  # folder -> class; mails in other folders are refused

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        for file in files.walk(source, self.files, self.encoding):
            where, (split, folders) = file.where, rules(file)
            folder = folders[-1] if folders else ""
            label = folder if self.labels is None else self.labels.get(folder)
            if not folder:
                yield Refused(where, "lies in no folder", split)
                continue
            if label is None:
                yield Refused(where, "its folder is not in labels")
                continue
            try:
                text = text_of(file.content)
            except Exception:  # the parsers of mail and HTML promise to accept anything, and nearly do
                yield Refused(where, "is not a readable mail")
                continue
            yield Example(where, text, label, split) if text else Refused(where, "has no text")


def text_of(content: bytes) -> str:
    """Subject and text of a mail in one line, without HTML's tags; an e-mail address becomes the word address."""
    mail = email.message_from_bytes(content)
    parts = [_subject(mail), *(_part(part) for part in mail.walk())]
    text = " ".join(" ".join(parts).replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())
    return ADDRESS.sub("address", text)


def _subject(mail: Message) -> str:
    raw = str(mail.get("subject", ""))
    try:
        parts = decode_header(raw)
    except Exception:  # damaged base64
        return raw
    return " ".join(_decoded(part, charset) if isinstance(part, bytes) else part for part, charset in parts)


def _part(part: Message) -> str:
    """A part's text; a multipart mail without parts counts as plain text."""
    if part.is_multipart() or part.get_content_maintype() not in ("text", "multipart"):
        return ""
    content = part.get_payload(decode=True)
    text = _decoded(content, part.get_content_charset()) if isinstance(content, bytes) else ""
    return _Text.of(text) if part.get_content_subtype() == "html" else text


def _decoded(content: bytes, charset: str | None) -> str:
    for known in (charset or "utf-8", "utf-8"):
        try:
            return content.decode(known)
        except (LookupError, ValueError):  # an unknown or wrong charset
            continue
    return content.decode("latin-1")


class _Text(HTMLParser):
    """What a browser would show."""

    HIDDEN = ("script", "style")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = 0
        self.parts: list[str] = []

    @classmethod
    def of(cls, html: str) -> str:
        parser = cls()
        parser.feed(html)
        parser.close()
        return " ".join(parser.parts)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in self.HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in self.HIDDEN))

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)
