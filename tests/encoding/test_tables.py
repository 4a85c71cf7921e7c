"""What all encodings share: reading prepare's tables, and arrays of pieces that lie end to end."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import paths
from pipeline.encoding import tables


@pytest.fixture(autouse=True)
def _tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    for split, rows in (("train", 2_500), ("test", 3)):
        table = pa.table({"id": [f"{i:032}" for i in range(rows)], "text": ["x"] * rows, "label": ["a"] * rows})
        pq.write_table(table, paths.prepared(split))


def test_only_the_splits_of_the_source():
    assert tables.splits() == ["train", "test"]
    assert tables.content() == "text"


def test_a_column_in_order():
    assert list(tables.column("train", "id")) == [f"{i:032}" for i in range(2_500)]
    assert tables.rows("train") == len(tables.ids("train")) == 2_500
    assert tables.ids("test")[2] == b"2".rjust(32, b"0")


def test_pieces_end_to_end():
    assert tables.starts([2, 0, 3]).tolist() == [0, 2, 2, 5]
    assert tables.starts([2, 0, 3]).dtype == np.int32
    assert tables.starts([2**30, 2**30]).dtype == np.int64


@pytest.mark.parametrize("numbers", [2, 65_536, 65_537])
def test_the_smallest_type_holds_the_largest_number(numbers):
    assert np.array(numbers - 1).astype(tables.smallest(numbers)) == numbers - 1
    assert np.dtype(tables.smallest(numbers)).itemsize == (2 if numbers <= 65_536 else 4)


def test_the_spread_of_lengths():
    assert tables.spread(np.arange(1, 101)) == {"median": 50.5, "percentile_95": pytest.approx(95.05), "longest": 100}


def test_the_shifted_test_split_lies_inside_the_test_split():
    tables.save("shifted", targets=np.arange(3))
    assert np.load("data/features/test/shifted/targets.npy").tolist() == [0, 1, 2]
