"""For each reader a small source that it reads, and in whose place others can be put."""

import gzip
import io
import json
from typing import Any

import idx_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sources import picture

MAIL = (
    b"From: a@example.org\nSubject: =?utf-8?b?w6Q=?= offer\nContent-Type: text/plain; charset=utf-8\n\nBuy this now.\n"
)
PARTS = (
    b"Subject: parts\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n--x\n"
    b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--x\n"
    b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+aGk8L2I+\n--x--\n"
)
WORDS = [a + b for a in "abcdefgh" for b in "vwxyz"]
CONLL = [f"{word} B-X\nv{i % 7} I-X\nu O\n\n" for i, word in enumerate(WORDS)]
TAGGED = "\n\n".join(f"The/at {word}/nn ran/vbd ./." for word in WORDS)
TABLE = "text,label,split\n" + "".join(
    f'"a text, {WORDS[i]}",{"ab"[i % 2]},{"train" if i < 28 else "test"}\n' for i in range(40)
)
TSV = TABLE.replace('"a text, ', "a text ").replace('"', "").replace(",", "\t")


def _parquet() -> bytes:
    out = io.BytesIO()
    rows = {"text": [f"a text {word}" for word in WORDS], "label": ["a", "b"] * 20}
    pq.write_table(pa.table(rows), out)
    return out.getvalue()


def _images(shape: tuple[int, ...]) -> bytes:
    return gzip.compress(idx_files.pack(np.random.default_rng(0).integers(0, 2, shape, np.uint8)), mtime=0)


SOURCES: tuple[tuple[dict[str, Any], dict[str, bytes | str]], ...] = (  # a reader, and files that it can read
    ({"format": "table", "text": "text", "label": "label"}, {"all.csv": TABLE}),
    ({"format": "table", "text": "text", "label": "label", "split": "split"}, {"all.tsv": TSV}),
    (
        {"format": "table", "text": "text", "label": "label"},
        {"all.jsonl": "".join(json.dumps({"text": f"text {WORDS[i]}", "label": i % 2}) + "\n" for i in range(40))},
    ),
    ({"format": "table", "text": "text", "label": "label"}, {"all.parquet": _parquet()}),
    ({"format": "conll"}, {"train.conll": "".join(CONLL[:30]), "test.conll": "".join(CONLL[30:])}),
    ({"format": "slash-tagged"}, {"ca01": TAGGED, "ca02": TAGGED}),
    (
        {"format": "mail"},
        {
            f"{('spam', 'ham')[i % 2]}/{i}": (MAIL, PARTS)[i % 2].replace(b"Subject: ", f"Subject: {word} ".encode())
            for i, word in enumerate(WORDS)
        },
    ),
    ({"format": "text"}, {f"{'ab'[i % 2]}/{i}.txt": f"the text {word}" for i, word in enumerate(WORDS)}),
    (
        {"format": "image-folder"},
        {f"{'ab'[i % 2]}/{i}.{form}": picture(form, i) for i, form in enumerate(("PNG", "JPEG", "WEBP", "PNG") * 5)},
    ),
    (
        {"format": "idx"},
        {
            "train-images-idx3-ubyte.gz": _images((60, 4, 4)),
            "train-labels-idx1-ubyte.gz": _images((60,)),
            "t10k-images-idx3-ubyte.gz": _images((30, 4, 4)),
            "t10k-labels-idx1-ubyte.gz": _images((30,)),
        },
    ),
)


# Of params.yaml, the section of a dataset of the same task; else it is spam's.
SECTION = {"idx": "fashion-mnist", "image-folder": "fashion-mnist", "conll": "brown", "slash-tagged": "brown"}
