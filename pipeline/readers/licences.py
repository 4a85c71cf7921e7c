"""What the files beside a source say of its licence."""

import re
from pathlib import Path

from pipeline.config import paths

NOTES = re.compile(r"(?i)(licen[cs]es?|copying|copyright|notice)([-._].*)?")
README = re.compile(r"(?i)read[ _-]?me(\..*)?")
NAMED = re.compile(rb"(?i)licen[cs]e|public domain|copyright")
LARGEST = 1 << 20  # bytes: what is larger is data of such a name


def read(source: Path) -> dict[str, str]:
    """Name -> text, from the nearest folder within data/raw that has notes: the one that `source` is or lies in, or one
    above it. Where no file is for the licence alone, the README that names one is the note.
    """
    for folder in (source, *source.parents):
        if not folder.is_dir():
            continue
        if folder == paths.RAW and (source.is_dir() or folder != source.parent):  # those of other sources
            break
        if found := _notes(folder):
            return found
    return {}


def _notes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size <= LARGEST)
    notes = [path for path in files if NOTES.fullmatch(path.name)]
    if not notes:
        notes = [path for path in files if README.fullmatch(path.name) and NAMED.search(path.read_bytes())]
    return {path.name: _text(path.read_bytes()) for path in notes}


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
