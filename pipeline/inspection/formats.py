"""Which reader a source is for, by the names of its files and how some of them begin."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from pipeline.readers.formats.idx import NAME as IDX
from pipeline.readers.formats.image_folder import SUFFIXES as PICTURES
from pipeline.readers.split_names import Rules
from pipeline.runtime.errors import UserError
from pipeline.runtime.reading import encodings, files, lines
from pipeline.runtime.reading.conll import columns
from pipeline.runtime.reading.table_rows import SUFFIXES as TABLES
from pipeline.runtime.reading.unread import CURES

MOST = 200_000  # names that are listed
MANY = 10  # so many text files for each table are the data, and the tables are about them
OPENED, OPENED_OF_A_KIND = 300, 10  # files whose beginning is read; of a kind, those of one suffix in a folder
HEAD = 1 << 16  # bytes of it
LONG = 30_000  # bytes: a longer text is a book or a collection, no example of a class
HEADER = re.compile(r"([!-9;-~]+):[ \t]")  # RFC 5322, 2.2
MAIL_HEADERS = {"from", "to", "subject", "date", "received", "return-path", "message-id", "mime-version", "newsgroups"}


class Seen(NamedTuple):
    """A file, and the format that it has: None if nothing reads it, "" if it was not opened."""

    name: str
    format: str | None
    long: bool = False
    path: Path | None = None  # on disk; None in an archive
    archive: str = ""  # in the source, that it is in

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix


class Choice(NamedTuple):
    format: str
    pattern: str | None  # only files whose name fits it are of this format
    only: Path | None  # the one table among files of other kinds


def look(source: Path, encoding: str | None = None) -> list[Seen]:
    """The files of a source. Raises UserError where there are none or they cannot be read."""
    seen: list[Seen] = []
    opened: Counter[str] = Counter()
    entries = files.entries(source, encoding=encoding)
    for entry in tqdm(entries, desc="look", unit=" files", disable=None, delay=2, leave=False):
        form, is_long = _by_name(entry.name), False
        kind = f"{entry.name.rpartition('/')[0]}/{PurePosixPath(entry.name).suffix}"
        if form == "" and opened.total() < OPENED and opened[kind] < OPENED_OF_A_KIND:
            opened[kind] += 1
            with files.reading(entry.where), entry.open() as file:
                head = file.read(HEAD)
            form, is_long = by_content(head, encoding), len(head) > LONG
        seen.append(Seen(entry.name, form, is_long, entry.path, entry.archive))
        if len(seen) == MOST:
            break
    return seen


def _by_name(name: str) -> str:
    """The format that a name alone gives; "" for none."""
    if IDX.fullmatch(name.rpartition("/")[2]):
        return "idx"
    suffix = PurePosixPath(name).suffix.lower()
    return "table" if suffix in TABLES else "image-folder" if suffix in PICTURES else ""


def by_content(head: bytes, encoding: str | None = None) -> str | None:
    """The format of a file that begins with `head`: mail, slash-tagged, conll, text, or None."""
    if _is_mail(head):
        return "mail"
    try:
        text = encodings.beginning(head, encodings.of(head, encoding))
    except UnicodeDecodeError:
        return None
    if len(head) == HEAD:
        text = text[: text.rfind("\n") + 1] or text
    if "\0" in text or not text.strip():
        return None
    rows = [line.rstrip("\r\n") for line in lines.split(text)]
    return "slash-tagged" if _is_slash_tagged(text) else "conll" if _is_conll(rows) else "text"


def _is_mail(head: bytes) -> bool:
    """Whether it begins with header lines, one of them of a usual kind."""
    names: set[str] = set()
    for line in head.decode("latin-1").splitlines():
        if not line.strip():
            break
        header = HEADER.match(line)
        if header:
            names.add(header[1].lower())
        elif not (line[0] in " \t" and names) and not line.startswith("From "):
            return False
    return bool(names & MAIL_HEADERS)


def _is_slash_tagged(text: str) -> bool:
    """Whether nearly all words end in a slash and a tag, of which there are few."""
    tokens = [token.rpartition("/") for token in text.split()]
    tagged = [tag for word, _, tag in tokens if word and tag]
    return len(tagged) >= 0.95 * len(tokens) and len(set(tagged)) <= max(10, len(tagged) // 3)


def _is_conll(rows: Sequence[str]) -> bool:
    """Whether nearly all lines have the same number of columns, two or more, with few values in the last, and blank
    lines stand between some of them.
    """
    words = [row for row in rows if row.strip(" \t") and not row.startswith("#") and not row.startswith("-DOCSTART-")]
    cells = [columns(row) for row in words]
    if not cells or len(words) == len(rows):
        return False
    (width, count), *_ = Counter(map(len, cells)).most_common(1)
    tags = {row[-1] for row in cells}
    return width >= 2 and count >= 0.95 * len(cells) and len(tags) <= max(2, len(cells) // 3)


def choose(source: Path, seen: Sequence[Seen], *, chosen: bool = False) -> Choice:
    """The format that most files have. Raises UserError where no reader reads them, or where they are texts that a
    program wrote for programs, unless the user has `chosen` what to learn.
    """
    formats = Counter(one.format for one in seen if one.format)
    if not formats:
        raise UserError(f"{source}: {_unknown(seen)}")
    texts = sum(one.format not in (None, "table", "image-folder") for one in seen)
    if "idx" in formats:
        form = "idx"
    elif MANY * formats["table"] > texts:  # with pictures, it may name them
        form = "table"
    else:
        form = formats.most_common(1)[0][0]
    of_form = [one for one in seen if one.format == form]
    only = of_form[0].path if form == "table" and len(of_form) == 1 and len(seen) > 1 else None
    if "image-folder" in formats:
        only = None
    if form == "text" and not chosen and _most_suffix(seen) in CURES:
        raise UserError(f"{source}: {_unknown(seen)}; or, to learn it as text, say with --task what")
    return Choice(form, _pattern(seen, form), only)


def _pattern(seen: Sequence[Seen], form: str) -> str | None:
    """The suffix of most files of the format, or unopened ones, where there are files of other suffixes."""
    (suffix, count), *others = Counter(one.suffix for one in seen).most_common()
    of_form = [one.suffix for one in seen if one.format == form]
    most = bool(suffix) and bool(others) and count > 0.8 * len(seen) and suffix in of_form
    other_form = any(one.suffix == suffix and one.format not in (form, "") for one in seen)
    return f"*{suffix}" if most and not other_form else None


def in_class_folders(seen: Sequence[Seen], rules: Rules) -> bool:
    """Whether texts are examples of classes: nearly all lie in folders, two at least, besides those of splits; and most
    are no books.
    """
    folders = Counter(place.folders[-1] if (place := rules(one)).folders else "" for one in seen)
    outside = folders.pop("", 0)
    return len(folders) > 1 and 20 * outside <= len(seen) and 2 * sum(one.long for one in seen) <= len(seen)


def folders(seen: Iterable[Seen], rules: Rules, level: int) -> Counter[str]:
    """How many files lie in each folder of that level, counted from the top without those of splits; -1: in each last
    one.
    """
    places = (rules(one).folders for one in seen)
    return Counter(parts[level] for parts in places if len(parts) > max(level, 0))


def _most_suffix(seen: Sequence[Seen]) -> str:
    return Counter(one.suffix.lower() for one in seen).most_common(1)[0][0]


def _unknown(seen: Sequence[Seen]) -> str:
    suffix = _most_suffix(seen)
    name = next(one.name for one in seen if one.suffix.lower() == suffix)
    cure = CURES.get(suffix, "convert them, or write a reader: docs/new-reader.md")
    return (
        f"no reader reads its {suffix or 'files'}{' files' if suffix else ''}, such as {name} (neither PNG, JPEG or "
        f"WebP images, nor tables, nor text in Unicode or the given --encoding): {cure}"
    )
