"""A split of texts as one row of tokens in files of a bounded size."""

import numpy as np
import pytest

from pipeline.config import paths
from pipeline.encoding import token_files
from pipeline.loaders import token_store


@pytest.mark.parametrize("vocabulary", [10, 70_000])
def test_a_row_is_cut_into_files_and_counted(tmp_path, monkeypatch, vocabulary):
    monkeypatch.setattr(token_files, "SHARD", 100)
    monkeypatch.setattr(token_files, "COUNTED", 30)
    random = np.random.default_rng(0)
    parts = [random.integers(0, vocabulary, size) for size in (1, 99, 0, 250, 7)]
    monkeypatch.chdir(tmp_path)
    folder = paths.features("train")
    folder.mkdir(parents=True)
    shards = token_files.Shards(folder, vocabulary)
    for part in parts:
        shards.add(part)
    assert shards.close() == 357
    files = sorted(folder.glob(token_store.SHARDS))
    assert [len(np.load(file)) for file in files] == [100, 100, 100, 57]
    whole = np.concatenate([np.load(file) for file in files])
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(token_files.count("train", vocabulary), np.bincount(whole, minlength=vocabulary))
    assert whole.dtype == (np.uint16 if vocabulary == 10 else np.uint32)
