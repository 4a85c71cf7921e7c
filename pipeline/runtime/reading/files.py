"""The files of a source, one at a time: those in a folder or an archive, or a single file; .gz is unpacked on the way.

Nothing is written to disk, and at most one file is in memory.
"""

import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ..errors import UserError
from . import encodings

MAX_BYTES = 1 << 30  # of one file, unpacked: enough for any document or image, too little for a gzip bomb
ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DATA = re.compile(r"(?i).+\.(png|jpe?g|jfif|jpe|webp|csv|tsv|jsonl|ndjson|parquet)(\.gz)?")  # whatever else a name says
# Files about the data, and what systems and programs leave beside it.
HOUSEKEEPING = re.compile(
    r"(?i:(READ[ _-]?ME|LICEN[SC]E|COPYING|COPYRIGHT)([. -].*|_[a-z]{2}(\..*)?)?|[\W\d_]*READ[ _-]?ME\d*([\W_].*)?"
    r"|(SHA\d+|MD5)SUMS?(\.(txt|asc|sig|gpg))?|checksums?\.\w+)|LICEN[SC]E_.*"
    r"|(NOTICE|CHANGELOG|CITATION|AUTHORS|CONTRIBUTORS)(\.(txt|md|rst|cff|bib))?"
    r"|(?i:.+\.(dvc|crc|(md5|sha1|sha256|sha512)(sum)?)|(eh)?thumbs(_vista)?\.db|(desktop|picasa)\.ini)"
    r"|.*:(Zone\.Identifier|encryptable)|.*~|#.*#|(?i:.+\.(bak|sw[op]|msf))|maildirfolder|dovecot[-.].*"
    r"|index\.html\?.*|_(SUCCESS|(common_)?metadata|(committed|started)_\d+)|dataset_(dict|infos?)\.json"  # Spark
)
FOLDERS = {"__MACOSX", "__pycache__", "CVS", "lost+found", "@eaDir", "#recycle", "$RECYCLE.BIN"}  # of systems and tools
FOLDERS |= {"System Volume Information", "_temporary", "_delta_log", "_spark_metadata"}
ICON = "Icon\r"  # of a folder on a Mac
SPLITS = "splits.csv"
UTF_8 = 0x800  # the flag of a zip's member whose name is in UTF-8
UNICODE_NAME = re.compile(rb"(?s)up(..)\x01(....)")  # in a member's extra: a size, and the checksum of its plain name
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # Python reads bytes that are not UTF-8 as surrogates
DAMAGE = (
    OSError,  # gzip.BadGzipFile among them
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted zip, a compression that zipfile does not know
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class File(NamedTuple):
    """A file, read and unpacked."""

    name: str  # its path in the source or in its archive, with "/", without .gz
    content: bytes
    where: str  # its path from here, after that of its archive if it is in one: for messages
    archive: str = ""  # the archive in the source that it is in; "" also where the source is that archive


class Entry(NamedTuple):
    """A file that has not been read. `open` it before taking the next Entry."""

    name: str
    where: str
    open: Callable[[], BinaryIO]
    path: Path | None = None  # on disk; None in an archive
    archive: str = ""  # as in File


def walk(source: Path, pattern: str = "*", encoding: str | None = None) -> Iterator[File]:
    """The files of `source` that fit `pattern`, read one by one."""
    for entry in entries(source, pattern, encoding):
        yield File(entry.name, read(entry), entry.where, entry.archive)


def read(entry: Entry) -> bytes:
    """The whole content. Raises UserError if it is damaged, unreadable or too large."""
    with reading(entry.where), entry.open() as file:
        return rest(file, entry.where)


def rest(file: BinaryIO, where: str, begun: bytes = b"") -> bytes:
    """What is left of a file, after what was read of it. Raises UserError where it is too large."""
    content = bytearray(begun)
    while part := file.read(1 << 20):  # reading all at once would allocate a gigabyte
        content += part
        if len(content) > MAX_BYTES:
            raise UserError(f"{where}: is larger than {MAX_BYTES:,} bytes when unpacked: split it up")
    return bytes(content)


def entries(source: Path, pattern: str = "*", encoding: str | None = None) -> Iterator[Entry]:
    """The files of `source` that fit `pattern`: a folder's sorted by name, an archive's in its own order. `encoding` is
    that of names in an archive which are not in UTF-8.

    Hidden files are left out, and those of HOUSEKEEPING, and splits.csv.
    """
    empty = True
    with reading(source):
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    for name in _names(source) if is_folder else ("",):
        for entry in _in(source / name, name, encoding):
            if matches(entry.name, pattern):
                empty = False
                yield entry
    if empty:
        fit = "" if pattern == "*" else f" whose name fits {pattern!r}"
        raise UserError(f"{source}: holds no file{fit}")


def count(source: Path) -> int | None:
    """The number of files in a folder; None for a single file, or where an archive would have to be opened."""
    with reading(source):
        if not source.is_dir():
            return None
    total = 0
    for name in _names(source):
        if name.lower().endswith(ZIP + TAR):
            return None
        total += 1
    return total


def names(source: Path, pattern: str = "*", encoding: str | None = None) -> Iterator[tuple[str, str]]:
    """The name of each entry, and of the archive in the source that it is in. Cheaper than `entries`."""
    for name in _names(source) if source.is_dir() else ("",):
        if not name or name.lower().endswith(ZIP + TAR):
            inside = ((entry.name, entry.archive) for entry in _in(source / name, name, encoding))
        else:
            inside = ((name[:-3] if name.lower().endswith(".gz") else name, ""),)
        yield from (one for one in inside if pattern == "*" or matches(one[0], pattern))


def matches(name: str, pattern: str) -> bool:
    """As in a shell, except that * matches "/" too; a pattern without "/" may match the last part of a name alone."""
    return fnmatchcase(name, pattern) or ("/" not in pattern and fnmatchcase(name.rpartition("/")[2], pattern))


@contextmanager
def reading(where: str | Path) -> Iterator[None]:
    """Turns what the system, an archive or a decompressor raises into a UserError that names `where`."""
    try:
        yield
    except PermissionError as error:
        raise UserError(f"{where}: no permission to read it; allow it with chmod -R u+rX") from error
    except FileNotFoundError as error:
        raise UserError(f"{where}: no such file or folder; put it there or correct the path") from error
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{where}: cannot be read ({' '.join(reason.split())}); fetch it again") from error


def _in(path: Path, name: str, encoding: str | None) -> Iterator[Entry]:
    """The file `path`, or what is in it; `name` is its own in the source, "" where it is the source."""
    _printable(path)
    if path.name.lower().endswith(ZIP):
        yield from _zip(path, name, encoding)
    elif path.name.lower().endswith(TAR):
        yield from _tar(path, name, encoding)
    else:
        yield _entry(name or path.name, str(path), lambda: path.open("rb"), path)


def _names(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """The name of each file under `folder`, sorted; only the names of one folder at each depth are in memory."""
    names: list[str] = []
    folders: set[str] = set()
    with reading(folder):
        above = (*above, os.path.realpath(folder))
        with os.scandir(folder) as scanned:
            for entry in scanned:
                if entry.is_dir():
                    folders.add(entry.name)
                elif is_left_out(entry.name):
                    continue
                elif not entry.is_file():
                    raise UserError(f"{entry.path}: is a broken link, or neither a file nor a folder: remove it")
                names.append(entry.name)
        for name in sorted(folders):
            if os.path.realpath(folder / name) in above:
                raise UserError(f"{folder / name}: links to a folder above it: remove it")
    for name in sorted(names):
        if name in folders:
            if not is_left_out(name, folder=True):
                yield from _names(folder / name, f"{prefix}{name}/", above)
        elif prefix or name != SPLITS:
            yield prefix + name


def _zip(path: Path, inside: str, encoding: str | None) -> Iterator[Entry]:
    with reading(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = _member(path, _zip_name(path, member, encoding))
            mode = stat.S_IFMT(member.external_attr >> 16)  # 0 where the archive was not made on Unix
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UserError(f"{path}: {name} is a link or a device: do not trust this archive")
            if not member.is_dir() and not is_left_out_path(name):
                entry = _entry(name, f"{path}: {name}", lambda member=member: cast(BinaryIO, archive.open(member)))
                yield entry._replace(archive=inside)


def _tar(path: Path, inside: str, encoding: str | None) -> Iterator[Entry]:
    with reading(path), tarfile.open(path) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]  # else they pile up
            raw = _decoded(path, os.fsencode(member.name), encoding) if encoding else member.name
            name = _member(path, raw)
            if not member.isfile() and not member.isdir():
                raise UserError(f"{path}: {name} is a link or a device: do not trust this archive")
            if member.isfile() and not is_left_out_path(name):
                opened = lambda member=member: cast(BinaryIO, archive.extractfile(member))  # noqa: E731
                yield _entry(name, f"{path}: {name}", opened)._replace(archive=inside)
        _ended(archive)


def _zip_name(path: Path, member: zipfile.ZipInfo, encoding: str | None) -> str:
    """The name as its archiver meant it: many write UTF-8 and do not say so, old ones the code page of their system."""
    if member.flag_bits & UTF_8:
        return member.filename
    raw = member.orig_filename.partition("\0")[0].encode("cp437")  # as zipfile has decoded it
    if (found := UNICODE_NAME.search(member.extra)) and zlib.crc32(raw) == int.from_bytes(found[2], "little"):
        raw = member.extra[found.end() :][: int.from_bytes(found[1], "little") - 5]
    return _decoded(path, raw, encoding or "cp437")


def _decoded(path: Path, name: bytes, encoding: str) -> str:
    try:
        return encodings.of_name(name, encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: a name in it is not in {encoding}: correct encoding") from error


def _ended(archive: tarfile.TarFile) -> None:
    """Checks that the archive ends in a block of zeros: tarfile mistakes a damaged header for the end.

    What follows is read as well, so that a decompressor verifies its checksum.
    """
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError("damaged or cut short")
    for _ in range(1 << 10):
        if not file.read(1 << 20):
            return
    raise EOFError("more than 1 GiB follows its end")


def _entry(name: str, where: str, open_it: Callable[[], BinaryIO], path: Path | None = None) -> Entry:
    if not name.lower().endswith(".gz"):
        return Entry(name, where, open_it, path)
    return Entry(name[:-3], where, lambda: cast(BinaryIO, _Gzip(open_it())), path)


class _Gzip(gzip.GzipFile):
    """A GzipFile that also closes the file below."""

    def __init__(self, below: BinaryIO) -> None:
        self.below = below
        super().__init__(fileobj=below)

    def close(self) -> None:
        super().close()
        self.below.close()


def _member(archive: Path, raw: str) -> str:
    """The name of an archive's member, without "./" and "//". Raises UserError where it leads out of the archive."""
    name = raw.replace("\\", "/").replace(ICON, f".{ICON[:-1]}")
    _printable(archive, name)
    if not name:
        raise UserError(f"{archive}: a member has no name: fetch it again")
    parts = [part for part in name.split("/") if part not in ("", ".")]  # pathlib would keep each one in memory
    if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name):
        raise UserError(f"{archive}: {name} climbs out of the archive: do not trust it")
    return "/".join(parts)


def _printable(path: Path, member: str = "") -> None:
    if UNPRINTABLE.search(f"{path}{member}"):
        where = f"{path}: {member}" if member else path
        raise UserError(f"{where}: its name has control characters or is not UTF-8: rename it")


def is_left_out_path(name: str) -> bool:
    *folders, last = name.split("/")
    return any(is_left_out(part, folder=True) for part in folders) or is_left_out(last)


def is_left_out(name: str, *, folder: bool = False) -> bool:
    """Whether a file or folder of this name is ignored."""
    if name.startswith((".", "~$")) or name in (ICON, *FOLDERS):
        return True
    return not folder and HOUSEKEEPING.fullmatch(name) is not None and not DATA.fullmatch(name)
