"""What a mail program shows of a mail: its subject and the text of its parts, in one line."""

import binascii
import email
import quopri
import re
from collections import Counter
from collections.abc import Iterator
from email.message import Message
from html.parser import HTMLParser
from pathlib import PurePosixPath

from pipeline.runtime.reading import encodings

# Bounded: otherwise matching would need quadratic time.
ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]{1,64}@[\w-]{1,64}(\.[\w-]{1,64})*")
# As in RFC 2047, but longer and with whitespace inside too.
ENCODED = re.compile(rb"=\?([^?\s]{1,60})\?([BbQq])\?(.{0,2000}?)\?=", re.DOTALL)
META = re.compile(rb"(?i)<meta[^>]{0,200}charset\s*=\s*[\"']?([\w:.-]{1,40})")
UUENCODED = re.compile(r"(?m)^begin [0-7]{3} \S.*\n(?:[!-`]{1,62} *\r?\n)*`?\s*end\s*$")
HIDDEN = re.compile(r"(?i)display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(px|pt|em|%)?\s*(;|!|$)")
COMMENT = re.compile(r"<!--(-?>|.*?(--!?>|\Z))", re.DOTALL)
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u2060\ufeff"))  # soft hyphens and other invisible characters
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]*[ \t]*\r?\n)*(?:[A-Za-z0-9+/]+={1,2}[ \t]*\r?\n)?")  # whole lines of it
MORE_BASE64 = re.compile(rb"[A-Za-z0-9+/]{50}")
LONGEST = 1 << 16  # bytes of a header in which encoded words are looked for
ASCII = ("us-ascii", "ascii")  # bytes beyond it are in some other charset
MARKUP = ("html", "xhtml+xml", "enriched", "richtext")
NOT_SHOWN = ("calendar", "css", "directory", "rtf", "vcard", "x-vcard")
TEXT_FILE = re.compile(r"(?i)|\.(txt|text|html?|patch|diff|\d+)")  # suffixes of named parts that are shown too


class Shown:
    """The text of a mail, and whether bytes that are in no charset became U+FFFD."""

    def __init__(self, content: bytes, encoding: str | None) -> None:
        self.encoding = encoding
        self.replaced = False
        codec = encodings.of(content[: encodings.HEAD])
        if codec.startswith("utf-") and codec != "utf-8":  # a mail that was stored as a Unicode text, or with a mark
            content = content.decode(codec, "replace").encode()
        mail = email.message_from_bytes(content.lstrip(b"\r\n"))
        subject = next((value for name, value in mail.raw_items() if name.lower() == "subject"), "")
        text = " ".join((self._header(str(subject)), *self._texts(mail)))
        text = " ".join(text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())
        self.text = ADDRESS.sub("address", text)

    def _header(self, value: str) -> str:
        """A header, with its encoded words decoded; a character may be spread over two."""
        raw = value.encode("ascii", "surrogateescape")
        pieces: list[tuple[bytes, str | None]] = []  # and their charsets
        end = 0
        for word in ENCODED.finditer(raw, 0, LONGEST):
            if (between := raw[end : word.start()]).strip() or not end:
                pieces.append((between, None))
            charset = word[1].decode("ascii", "replace").partition("*")[0]  # RFC 2231: a language may follow
            content = _unpacked(word[2], word[3])
            if pieces and pieces[-1][1] == charset:
                content = pieces.pop()[0] + content
            pieces.append((content, charset))
            end = word.end()
        pieces.append((raw[end:], None))
        return "".join(self._decoded(content, charset) for content, charset in pieces)

    def _texts(self, part: Message) -> Iterator[str]:
        """The texts of a part that are shown: of alternatives the last, of related parts the first, no attachments."""
        if _is_attachment(part):
            return
        if part.is_multipart():
            parts = [one for one in part.get_payload() if isinstance(one, Message)]
            subtype = part.get_content_subtype()
            if subtype not in ("alternative", "related"):
                for one in parts:
                    yield from self._texts(one)
                return
            for one in reversed(parts) if subtype == "alternative" else parts:
                texts = list(self._texts(one))
                if "".join(texts).strip():
                    yield from texts
                    return
        elif part.get_content_maintype() in ("text", "multipart") and part.get_content_subtype() not in NOT_SHOWN:
            yield self._text(part)

    def _text(self, part: Message) -> str:
        """A part's text; a multipart mail without parts counts as plain text."""
        content = _body(part)
        if content is None:
            return ""
        charset, is_markup = part.get_content_charset(), part.get_content_subtype() in MARKUP
        if charset is None and is_markup and (found := META.search(content[:4096])):
            charset = found[1].decode()
        text = self._decoded(content, charset)
        if is_markup:
            return Html.text(text)
        if str(part.get_param("delsp", "")).lower() == "yes":  # RFC 3676: a blank before a line's end is none
            text = re.sub(r" \r?\n", "", text)
        return UUENCODED.sub("", text)

    def _decoded(self, content: bytes, charset: str | None) -> str:
        """The declared charset counts. Without one that is known, it is UTF-8 where most characters read so."""
        codec = None if charset is None or charset.lower() in ASCII else encodings.known(charset)
        if codec and codec.startswith("utf-16"):
            codec = encodings.of(content, charset) if b"\0" in content else None
        if codec is None:
            text = content.decode("utf-8", "replace")
            others = sum(not char.isascii() for char in text)
            if text.count("\ufffd") * 2 > others:
                codec = encodings.known(self.encoding or "cp1252")
        text = content.decode(codec or "utf-8", "replace")
        self.replaced |= "\ufffd" in text
        return text.removeprefix("\ufeff")


def _body(part: Message) -> bytes | None:
    """The bytes of a part. What a mailing list has added below base64, a text of its own, is left as it is."""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return None
    if str(part.get("content-transfer-encoding", "")).strip().lower() != "base64":
        return content
    raw = str(part.get_payload()).encode("ascii", "surrogateescape")
    found = BASE64.match(raw)
    begun, rest = (found[0], raw[found.end() :]) if found else (b"", raw)
    if not begun.strip() or not rest.strip() or MORE_BASE64.search(rest):  # all of it, though damaged
        return content
    return _unpacked(b"B", begun) + b"\n" + rest


def _unpacked(form: bytes, content: bytes) -> bytes:
    """The bytes of an encoded word."""
    if form in b"Qq":
        return quopri.decodestring(content, header=True)
    digits = re.sub(rb"[^A-Za-z0-9+/]", b"", content)
    try:
        return binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"===")
    except binascii.Error:
        return content


def _is_attachment(part: Message) -> bool:
    """Whether a part says so, or has the name of a file that is no text."""
    try:
        name, disposition = _name(part.get_filename("")), part.get_content_disposition()
    except Exception:  # damaged parameters
        return False
    if disposition == "attachment" or part.get_content_maintype() != "text":
        return disposition == "attachment"
    return TEXT_FILE.fullmatch(PurePosixPath(name.strip()).suffix) is None


def _name(name: str) -> str:
    """The name of a part, which some programs write as a header's encoded word."""
    word = ENCODED.fullmatch(name.strip().encode("ascii", "surrogateescape"))
    return _unpacked(word[2], word[3]).decode("utf-8", "replace") if word else name


class Html(HTMLParser):
    """What a browser would show, in one line."""

    # Any other tag, known or not, may stand inside a word.
    BLOCK = re.compile(
        "address|article|aside|blockquote|body|br|button|caption|center|d[dlt]|details|dialog|dir|div|fieldset|fig"
        "caption|figure|footer|form|frame(set)?|h[1-6r]|head(er)?|html|iframe|input|legend|li|listing|main|menu|nav|no"
        "frames|[ou]l|optgroup|option|p|plaintext|pre|section|select|summary|table|tbody|td|textarea|tfoot|th(ead)?|"
        "tr|xmp|nl|paragraph"
    )
    VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr")
    HIDDEN = frozenset(("script", "style", "template", "title"))
    DEEPEST = 500  # open tags

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, bool]] = []  # the tags around, and whether what is in them is hidden
        self.names: Counter[str] = Counter()  # of those tags
        self.parts: list[str] = []

    @classmethod
    def text(cls, html: str) -> str:
        parser = cls()
        parser.feed(COMMENT.sub("", html))  # the parser's own idea of where a comment ends is not that of browsers
        parser.close()
        return "".join(parser.parts).translate(UNSEEN)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.BLOCK.fullmatch(tag):
            self.parts.append(" ")
        if not self.VOID.fullmatch(tag) and len(self.open) < self.DEEPEST:
            style = any(name == "hidden" or (name == "style" and HIDDEN.search(value or "")) for name, value in attrs)
            self.open.append((tag, style or tag in self.HIDDEN or self.is_hidden))
            self.names[tag] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # <div/> begins one

    def handle_endtag(self, tag: str) -> None:
        if self.BLOCK.fullmatch(tag):
            self.parts.append(" ")
        found = self.names[tag] > 0
        while found:
            name, _ = self.open.pop()
            self.names[name] -= 1
            found = name != tag

    def handle_data(self, data: str) -> None:
        if not self.is_hidden:
            self.parts.append(data)

    @property
    def is_hidden(self) -> bool:
        return bool(self.open) and self.open[-1][1]
