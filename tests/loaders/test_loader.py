"""Loaders: the same batches from memory and from files, read ahead by a thread."""

import threading

import jax
import numpy as np
import optax
import pytest
from corpora import CONFIGS, TASK, corpus, shrink

from pipeline.loaders.loader import WindowLoader
from pipeline.loaders.prefetch import prefetch
from pipeline.runtime.errors import UserError
from pipeline.training.trainer import start


def test_files_give_the_same_bits_as_memory(monkeypatch):
    shrink(monkeypatch)
    text = corpus(3_000, 2_000, shards=3)
    results = []
    for resident in (1 << 20, 0):
        loader = WindowLoader(text, seed=0, batch=4, context=16, steps=40, resident=resident)
        trainer, state = start(CONFIGS["gpt"](), TASK, lambda _: optax.adam(1e-2), seed=0)
        seen = []
        for data, rows, length in loader.load(loader.epoch(1), 0):
            padded = np.pad(rows, [(0, 128 - len(rows)), (0, 0)])
            state, sums = trainer.train_block(state, data, padded, np.int32(len(rows)), length)
            seen.append(np.asarray(sums)[: len(rows)])
        results.append((state, np.concatenate(seen)))
    (one, losses), (other, same) = results
    assert np.array_equal(losses, same)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_items_are_read_ahead_and_the_thread_ends_with_the_reader():
    assert list(prefetch(iter(range(10)))) == list(range(10))
    assert list(prefetch(iter(()))) == []
    items = prefetch(iter(range(1_000)))
    assert next(items) == 0
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    items.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_what_fails_in_the_thread_reaches_the_reader():
    def failing():
        yield 1
        raise UserError("the disk is gone")

    items = prefetch(failing())
    assert next(items) == 1
    with pytest.raises(UserError, match="the disk is gone"):
        next(items)


def test_too_little_text():
    with pytest.raises(UserError, match=r"batch_size: 8 windows of 100 tokens .* 500 training tokens"):
        WindowLoader(corpus(499), seed=0, batch=8, context=100, steps=None)
