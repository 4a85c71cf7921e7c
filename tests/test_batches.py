"""Buckets waste little, and an epoch takes each example once."""

from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest
import tasks

from pipeline import batches
from pipeline.tasks import Words, lengths


def waste(sizes: np.ndarray, ends: tuple[int, ...]) -> int:
    return int(sum(min(end for end in ends if end >= size) - size for size in sizes))


@pytest.mark.parametrize("seed", range(5))
def test_buckets_end_where_the_fewest_tokens_are_padding(seed, monkeypatch):
    monkeypatch.setattr(batches, "BUCKETS", 3)
    sizes = np.random.default_rng(seed).integers(0, 90, 30)
    found = batches.ends(sizes)
    assert all(end % 8 == 0 for end in found)
    top = -(-max(sizes) // 8) * 8
    best = min(waste(sizes, (*some, top)) for some in combinations(range(8, top, 8), 2))
    assert waste(sizes, found) == best


def test_few_lengths_need_few_buckets():
    assert batches.ends(np.array([3, 3, 5])) == (8,)
    assert batches.ends(np.array([0])) == (8,)
    assert batches.ends(None) == (0,)


@pytest.mark.parametrize("kind", ["text-classification", "sequence-tagging"])
def test_an_epoch_takes_each_example_once(kind):
    task = tasks.TASKS[kind]()
    data = tasks.examples(task, 45)
    sizes = lengths(data)
    assert sizes is not None
    ends = batches.ends(sizes)
    blocks = batches.order(0, 1, data, batch=4, ends=ends)
    rows = np.concatenate([block.rows.reshape(-1) for block in blocks])
    assert sorted(rows[rows >= 0]) == list(range(45))
    assert sum(len(block.rows) for block in blocks) == batches.steps_an_epoch(data, batch=4, ends=ends)
    for block in blocks:
        assert sizes[block.rows[block.rows >= 0]].max() <= block.length
    again, other = (batches.order(0, epoch, data, batch=4, ends=ends) for epoch in (1, 2))
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(blocks, again, strict=True))
    assert not all(np.array_equal(a.rows, b.rows) for a, b in zip(blocks, other))


def test_a_batch_of_texts():
    task = tasks.texts()
    data = tasks.examples(task, 5)
    sizes = lengths(data)
    assert sizes is not None
    some = task.batch(data, jnp.asarray([2, -1, 4]), 24)
    tokens = np.asarray(some.inputs)
    for row, example in ((0, 2), (2, 4)):
        start, size = data.starts[example], sizes[example]  # type: ignore[index]
        np.testing.assert_array_equal(tokens[row, :size], data.inputs["tokens"][start : start + size])
        assert not tokens[row, size:].any()
    assert not tokens[1].any()
    assert some.valid.tolist() == [True, False, True]


def test_a_batch_of_sentences():
    task = tasks.tagging()
    data = tasks.examples(task, 5)
    some = task.batch(data, jnp.asarray([4, -1]), 24)
    assert isinstance(some.inputs, Words)
    start, end = data.starts[4], data.starts[5]  # type: ignore[index]
    assert int(some.valid.sum()) == end - start
    np.testing.assert_array_equal(some.targets[0, : end - start], data.targets[start:end])
    np.testing.assert_array_equal(some.inputs.characters[0, : end - start], data.inputs["characters"][start:end])
    assert not np.asarray(some.inputs.characters)[0, end - start :].any()
