"""RFC 822 emails, one per file or several in an mbox; the folder that an email lies in is its class.

Of the headers only the subject is kept.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar, Literal

from pipeline.readers import class_names
from pipeline.readers.example import Example, Refused, Split
from pipeline.readers.formats import mail_text
from pipeline.readers.section import DataSection
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import files

# The line above each mail of an mbox: From, then an address and a date, or a hyphen, or nothing.
DATE = rb"(?=.*\d\d:\d\d)(?=.*\b(19|20)\d\d\b)(?=.*\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))"
FROM_LINE = re.compile(rb"From( +\S+" + DATE + rb".*| -.*)? *\r?\n")
DATED = re.compile(rb"From +\S+" + DATE)  # such a line needs no blank line above it
HEADER = re.compile(rb"[!-9;-~]{1,76}:|>?From ")  # what follows that line
QUOTED_FROM = re.compile(rb"(?m)^>(>*From )")
LONGEST = 1 << 20  # bytes of a line that are read at a time
SIZE = re.compile(rb"(\d{1,10})[ \t]*\r?\n")
MAILDIR = ("cur", "new", "tmp")  # folders that say nothing of a mail's class
OUTLOOK = b"\xd0\xcf\x11\xe0"  # how a file of Outlook's own format begins


class Reader(DataSection):
    content: ClassVar = "text"
    labels_are: ClassVar = "label"
    one_per_file: ClassVar = True

    format: Literal["mail"]
    files: str = "*"  # only files whose name matches this pattern
    labels: dict[str, str] | None = None  # folder -> class; emails in other folders are refused

    def read(self) -> Iterator[Example | Refused]:
        source = Path(self.source)
        rules = self.rules()
        for entry in files.entries(source, self.files, self.encoding):
            split, folders = rules(entry)
            folder = next((part for part in reversed(folders) if part not in MAILDIR), "")
            for where, content, is_of_several in mails(entry):
                is_box = is_of_several or entry.name.lower().endswith((".mbox", ".mbx"))
                if is_box and (len(rules.kept) == 1 or not folder):  # all lie in one folder: each mbox is a class
                    folder = PurePosixPath(entry.name).stem
                yield self._example(where, content, folder, split)

    def _example(self, where: str, content: bytes, folder: str, split: Split | None) -> Example | Refused:
        label = class_names.clean(folder) if self.labels is None else self.labels.get(folder)
        if not folder:
            return Refused(where, "lies in no folder", split)
        if label is None:
            return Refused(where, "its folder is not in labels")
        if content.startswith(OUTLOOK):
            return Refused(where, "is in Outlook's own format: save it as .eml")
        if where.lower().endswith(".emlx") and (sized := SIZE.match(content)):  # Apple's: a size, the mail, a list
            content = content[sized.end() :][: int(sized[1])]
        try:
            shown = mail_text.Shown(content, self.encoding)
        except Exception:  # the parsers of mail and HTML promise to accept anything, and nearly do
            return Refused(where, "is not a readable email")
        if not shown.text:
            return Refused(where, "has no text")
        changed = class_names.change(label, folder) if self.labels is None else None
        changed = "bytes that are not in the mail's charset became U+FFFD" if shown.replaced else changed
        return Example(where, shown.text, label, split, changed=changed)


def mails(entry: files.Entry) -> Iterator[tuple[str, bytes, bool]]:
    """The emails in a file, one at a time: where each is, its bytes, and whether it is one of several."""
    with files.reading(entry.where), entry.open() as file:
        line = file.readline(LONGEST).removeprefix(BOM_UTF8)
        while line and not line.strip():  # as some programs leave above the first mail
            line = file.readline(LONGEST)
        if not FROM_LINE.fullmatch(line):
            yield entry.where, files.rest(file, entry.where, line), False
            return
        before: bytes | None = None  # the mail before
        number = 1
        for number, mail in enumerate(_split(file, entry.where), start=1):
            if before is not None:
                yield f"{entry.where} mail {number - 1}", before, True
            before = mail
        if before is not None:
            yield (f"{entry.where} mail {number}", before, True) if number > 1 else (entry.where, before, False)


def _split(file: BinaryIO, where: str) -> Iterator[bytes]:
    """The emails of an mbox, after its first line. A line that begins with "From " is text unless a blank line stands
    above it, or a date in it, and a header below.
    """
    mail, size, is_blank = list[bytes](), 0, False
    above: bytes | None = None  # a line that may stand above the next mail
    while line := file.readline(LONGEST):
        if above is not None and HEADER.match(line):
            yield QUOTED_FROM.sub(rb"\1", b"".join(mail))
            mail, size = [], 0
        elif above is not None:
            mail.append(above)
        is_from = line.startswith(b"From ") and FROM_LINE.fullmatch(line) and (is_blank or DATED.match(line))
        above = line if is_from else None
        is_blank = not line.strip()
        if above is None:
            mail.append(line)
            size += len(line)
            if size > files.MAX_BYTES:
                raise UserError(f"{where}: an email in it is larger than {files.MAX_BYTES:,} bytes: split it up")
    yield QUOTED_FROM.sub(rb"\1", b"".join(mail))
