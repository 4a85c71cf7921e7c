"""Which reader a source is for, and what its files say of splits, classes and documents."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from added import Add
from good_sources import CONLL, MAIL
from idx_files import pack
from PIL import Image
from sources import picture, write

from pipeline.inspection import formats, section
from pipeline.runtime.errors import UserError

PROSE = "It was a dark night, and nobody came.\nThe rain fell on the old town.\n"


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (PROSE.encode(), "text"),
        (PROSE.encode("utf-16"), "text"),
        ("".join(CONLL).encode(), "conll"),
        (b"# text = a b\n1\ta\tA\tDET\n2\tb\tB\tNOUN\n\n1\tc\tC\tDET\n2\td\tD\tNOUN\n\n", "conll"),
        ("a O\r\u3000 B\r\rc O\rd O\r\r".encode(), "conll"),
        (b"The/at dog/nn ran/vbd ./.\nThe/at cat/nn sat/vbd ./.\n", "slash-tagged"),
        (b"and/or this/that are no tags: they/them he/she\n" * 3, "text"),
        (MAIL, "mail"),
        (b"From x@y Sat\nReceived: by z;\n\tlater\nSubject: s\n\nbody", "mail"),
        (b"Note: this is no mail\n\nbut a text", "text"),
        (b"caf\xe9 in no known encoding", None),
        (b"\x00\x01\x02", None),
        (b"", None),
    ],
)
def test_by_content(head, form):
    assert formats.by_content(head) == form


def letters(i: int) -> str:
    return "abcdefghij"[i % 10] + "klmnopqrst"[i // 10]


def test_pictures_with_splits(added: Add):
    files = {f"x/{split}/{kind}/{i}.png": picture(seed=hash((split, kind, i)) % 1000) for i in range(4)
             for kind in "ab" for split in ("train", "val", "test")}  # fmt: skip
    section = added("x", files)
    assert section["data"] == {"source": "data/raw/x", "format": "image-folder"}
    assert section["preprocessing"] == {"height": 40, "width": 40, "resize": "exact"}


def test_pictures_of_any_size_with_transparency(added: Add):
    made: dict[str, bytes | str] = {}
    for i in range(20):
        out = BytesIO()
        Image.new("RGBA", (200 + 10 * i, 100), (9 * i, 0, 200, 128)).save(out, "PNG")
        made[f"x/{'ab'[i % 2]}/{i}.png"] = out.getvalue()
    settings = added("x", made)["preprocessing"]
    assert settings == {"height": 32, "width": 96, "background": "edge"}


def test_texts_without_spaces(added: Add):
    rows = "".join(f"{chr(0x4E00 + i) * 90},{'ab'[i % 2]}\n" for i in range(100))
    assert added("x.csv", {"x.csv": f"文,类\n{rows}"})["preprocessing"] == {"max_length": 96, "vocabulary": 400}


def test_tags_that_training_lacks_are_one_note(raw, run):
    extra = "".join(f"odd RARE-{i}\n\n" for i in range(9))
    write(raw, {"x/train.conll": "".join(CONLL), "x/test.conll": "".join(CONLL[:9]) + extra})
    (note,) = (line for line in run("data/raw/x").splitlines() if "training lacks" in line)
    assert note.endswith("(and 8 more such tags)")


def test_small_grey_images(added: Add):
    random = np.random.default_rng(0)
    parts = {name: random.integers(0, 2, shape) for name, shape in (("images-idx3", (60, 12, 12)), ("labels-idx1", 60))}
    section = added("x", {f"x/train-{name}-ubyte": pack(np.asarray(array)) for name, array in parts.items()})
    assert section["data"]["format"] == "idx"
    assert section["preprocessing"] == {"height": 12, "width": 12, "colour": "grey", "resize": "exact"}


def test_the_scheme_of_tags_is_said(raw, run):
    write(raw, {"x.conll": "".join(f"a U-X\nb{letters(i)} B-Y\nc L-Y\nd O\n\n" for i in range(60))})
    assert "the tags mark spans in BILOU\n" in run("data/raw/x.conll")


def test_sentences(added: Add):
    section = added("x.conll", {"x.conll": "".join(CONLL)})
    assert section == {
        "task": {"name": "sequence-tagging"},
        "data": {"source": "data/raw/x.conll", "format": "conll"},
        "preprocessing": {},
    }


def test_a_corpus_of_tagged_files(added: Add):
    files = {f"x/c{letters(i)}": f"The/at {letters(i)}/nn ran/vbd ./.\n" * 3 for i in range(60)}
    assert added("x", files)["data"] == {"source": "data/raw/x", "format": "slash-tagged"}


def test_a_book_is_cut_into_parts(added: Add):
    section = added("book.txt", {"book.txt": "".join(f"{PROSE}{letters(i % 100)}\n" for i in range(2_000))})
    assert section["task"] == {"name": "language-modelling"}
    assert section["data"] == {"source": "data/raw/book.txt", "format": "text", "part": 1_000}
    assert 400 <= section["preprocessing"]["vocabulary"] < 8_000


def test_documents_for_a_language_model(added: Add):
    files: dict[str, bytes | str] = {f"x/{i}.txt": f"{PROSE}{letters(i)}" for i in range(100)}
    section = added("x", files | {"x/about.bin": b"\0"})
    assert section["task"] == {"name": "language-modelling"}
    assert section["data"] == {"source": "data/raw/x", "format": "text", "files": "*.txt"}


def test_texts_in_class_folders(added: Add):
    section = added("x", {f"x/{'ab'[i % 2]}/{i}.txt": f"{PROSE}{letters(i)}" for i in range(100)})
    assert section["task"] == {"name": "classification"}
    assert section["data"]["format"] == "text"


def test_a_table_among_other_files(added: Add):
    rows = "".join(f"{PROSE.splitlines()[0].replace(',', '')} {letters(i)},{i % 2}\n" for i in range(100))
    section = added("x", {"x/data.csv": f"a,b\n{rows}", "x/about.txt": PROSE})
    assert section["data"] == {"source": "data/raw/x/data.csv", "format": "table", "text": "a", "label": "b"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("data/raw/Meine Bücher.tar.gz", "meine-bucher"),
        ("data/raw/a_b.c.csv.gz", "a-b-c"),
        ("data/raw/2024.csv", "data-2024"),
        ("data/raw/reviews/train.csv", "reviews"),
        ("data/raw/数据.txt", "data"),
        ("data/raw/null", "data-null"),
    ],
)
def test_names(file, name):
    assert section.name_for(Path(file)) == name


FILE = "a: 1\ndatasets:\n    x:\n        y: 1  # why\n\n# on models\nmodels:\n  z: 1\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (FILE, "a: 1\ndatasets:\n    x:\n        y: 1  # why\n\n    n:\n      k: v\n\n# on models\nmodels:\n  z: 1\n"),
        ("datasets: {}\nb: 1\n", "datasets:\n  n:\n    k: v\nb: 1\n"),
        ("b: 1\ndatasets:\n  x: {}", "b: 1\ndatasets:\n  x: {}\n\n  n:\n    k: v\n"),
    ],
)
def test_where_a_section_is_written(text, after):
    assert section.insert(text, "n", {"k": "v"}) == after


def test_datasets_in_another_form():
    with pytest.raises(UserError, match="add the section by hand"):
        section.insert("datasets: {x: 1}\n", "n", {"k": "v"})
