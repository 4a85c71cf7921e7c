"""A text on disk: windows across files, batches by seed and step, damaged files."""

import numpy as np
import pytest
from corpora import corpus, write

from pipeline.loaders import token_store
from pipeline.runtime.errors import UserError


@pytest.mark.parametrize("shards", [1, 7])
def test_windows_across_files(shards):
    text = corpus(100, 50, shards=shards)
    row = text.whole()
    first = np.array([0, 3, 77, 140, -1, 151])
    windows = text.windows(first, 20)
    for place, window in zip(first, windows):
        expected = np.zeros(20, row.dtype) if place < 0 else np.pad(row[place : place + 20], (0, 20))[:20]
        assert np.array_equal(window, expected)


def test_batches_are_a_function_of_seed_and_step():
    def rows(seed: int, first: int, steps: int) -> np.ndarray:
        blocks = token_store.epoch_windows(seed, first, steps, tokens=1_000, context=10, batch=4)
        return np.concatenate([block.rows for block in blocks])

    assert token_store.steps_per_pass(1_000, context=10, batch=4) == 24
    whole = rows(1, 0, 60)
    assert np.array_equal(whole[37:], rows(1, 37, 23))
    assert not np.array_equal(whole, rows(2, 0, 60))
    one_pass = np.sort(whole[:24].reshape(-1))
    assert len(set((one_pass % 10).tolist())) == 1  # windows do not overlap
    assert len(set(one_pass.tolist())) == len(one_pass)
    assert one_pass.max() + 11 <= 1_000
    assert len({int(whole[start, 0]) % 10 for start in (0, 24, 48)}) > 1  # each pass begins at another position


def test_a_file_of_tokens_that_is_missing_or_cut_short(tmp_path):
    folder = tmp_path / "train"
    write(corpus(100, 20, shards=3), folder)
    assert len(token_store.load(folder)) == 122
    path = folder / "tokens-00001.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(UserError, match=r"train: cannot be read .*: run `dvc repro -f preprocess`"):
        token_store.load(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"its 2 files .* hold 81 tokens, its index says 122"):
        token_store.load(folder)
