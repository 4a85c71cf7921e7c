"""Buckets waste little, and an epoch takes each example once."""

from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest
import small_tasks

from pipeline.examples.batch import lengths
from pipeline.loaders import buckets


def waste(sizes: np.ndarray, ends: tuple[int, ...]) -> int:
    return int(sum(min(end for end in ends if end >= size) - size for size in sizes))


@pytest.mark.parametrize("seed", range(5))
def test_buckets_end_where_the_fewest_tokens_are_padding(seed, monkeypatch):
    monkeypatch.setattr(buckets, "BUCKETS", 3)
    sizes = np.random.default_rng(seed).integers(0, 90, 30)
    found = buckets.bucket_lengths(sizes)
    assert all(end % 8 == 0 for end in found)
    top = -(-max(sizes) // 8) * 8
    best = min(waste(sizes, (*some, top)) for some in combinations(range(8, top, 8), 2))
    assert waste(sizes, found) == best


def test_few_lengths_need_few_buckets():
    assert buckets.bucket_lengths(np.array([3, 3, 5])) == (8,)
    assert buckets.bucket_lengths(np.array([0])) == (8,)
    assert buckets.bucket_lengths(None) == (0,)


@pytest.mark.parametrize("kind", ["texts", "sentences"])
def test_an_epoch_takes_each_example_once(kind):
    task = small_tasks.TASKS[kind]()
    data = small_tasks.examples(task, 45)
    sizes = lengths(data)
    assert sizes is not None
    ends = buckets.bucket_lengths(sizes)
    blocks = buckets.epoch_batches(0, 1, data, batch=4, ends=ends)
    rows = np.concatenate([block.rows.reshape(-1) for block in blocks])
    assert sorted(rows[rows >= 0]) == list(range(45))
    assert sum(len(block.rows) for block in blocks) == buckets.steps_per_epoch(data, batch=4, ends=ends)
    for block in blocks:
        assert block.rows.shape[1] == 4
        assert len(block.rows) <= buckets.BLOCK
        assert block.length in ends
        assert sizes[block.rows[block.rows >= 0]].max() <= block.length
    again, other = (buckets.epoch_batches(0, epoch, data, batch=4, ends=ends) for epoch in (1, 2))
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(blocks, again, strict=True))
    assert not all(np.array_equal(a.rows, b.rows) for a, b in zip(blocks, other))


def test_the_order_of_texts_depends_on_the_seed():
    data = small_tasks.examples(small_tasks.texts(), 45)
    ends = buckets.bucket_lengths(lengths(data))
    one, other = (buckets.epoch_batches(seed, 1, data, batch=45, ends=ends) for seed in (0, 1))
    assert not all(np.array_equal(a.rows, b.rows) for a, b in zip(one, other))


def test_long_runs_of_one_shape_are_cut_into_blocks():
    data = small_tasks.examples(small_tasks.texts(), 300)
    blocks = buckets.epoch_batches(0, 1, data, batch=1, ends=(24,))
    assert [len(block.rows) for block in blocks] == [128, 128, 44]
    fixed = buckets.epoch_batches(0, 1, small_tasks.examples(small_tasks.images(), 300), batch=1, ends=(0,))
    assert [len(block.rows) for block in fixed] == [128, 128, 44]


def test_what_is_longer_than_all_buckets_lies_in_the_last_and_is_cut():
    task = small_tasks.texts()
    data = small_tasks.examples(task, 30)
    rows = np.concatenate([block.rows.reshape(-1) for block in buckets.epoch_batches(0, 1, data, batch=4, ends=(8,))])
    assert sorted(rows[rows >= 0]) == list(range(30))
    first = np.asarray(task.inputs.batch(data, jnp.asarray(rows[:1]), 8).inputs)[0]
    start = data.starts[rows[0]]  # type: ignore[index]
    np.testing.assert_array_equal(first[first > 0], data.inputs["tokens"][start:][: (first > 0).sum()])
