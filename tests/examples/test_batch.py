"""A batch holds the examples that were asked for, padded."""

import jax.numpy as jnp
import numpy as np
import small_tasks

from pipeline.examples.batch import Words, lengths


def test_a_batch_of_images():
    data = small_tasks.examples(small_tasks.images(), 5)
    some = small_tasks.images().inputs.batch(data, jnp.asarray([3, 0, -1]), 0)
    np.testing.assert_array_equal(some.inputs[:2], data.inputs["images"][[3, 0]])  # type: ignore[index]
    np.testing.assert_array_equal(some.targets[:2], data.targets[[3, 0]])
    assert some.valid.tolist() == [True, True, False]


def test_a_batch_of_texts():
    task = small_tasks.texts()
    data = small_tasks.examples(task, 5)
    sizes = lengths(data)
    assert sizes is not None
    some = task.inputs.batch(data, jnp.asarray([2, -1, 4]), 24)
    tokens = np.asarray(some.inputs)
    for row, example in ((0, 2), (2, 4)):
        start, size = data.starts[example], sizes[example]  # type: ignore[index]
        np.testing.assert_array_equal(tokens[row, :size], data.inputs["tokens"][start : start + size])
        assert not tokens[row, size:].any()
    assert not tokens[1].any()
    assert some.valid.tolist() == [True, False, True]


def test_a_batch_of_sentences():
    task = small_tasks.tagging()
    data = small_tasks.examples(task, 5)
    some = task.inputs.batch(data, jnp.asarray([4, -1]), 24)
    assert isinstance(some.inputs, Words)
    start, end = data.starts[4], data.starts[5]  # type: ignore[index]
    assert int(some.valid.sum()) == end - start
    np.testing.assert_array_equal(some.targets[0, : end - start], data.targets[start:end])
    np.testing.assert_array_equal(some.inputs.characters[0, : end - start], data.inputs["characters"][start:end])
    assert not np.asarray(some.inputs.characters)[0, end - start :].any()
