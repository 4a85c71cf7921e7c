"""The loss by hand, and class weights as scikit-learn has them."""

import jax.numpy as jnp
import numpy as np
import pytest
import small_tasks
from sklearn.utils.class_weight import compute_class_weight

from pipeline.examples.batch import Batch
from pipeline.examples.loss import balanced, cross_entropy


def test_class_weights_are_scikit_learns():
    labels = np.repeat(np.arange(5), small_tasks.COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(balanced(small_tasks.COUNTS), expected, rtol=1e-6)
    assert np.isfinite(balanced((0, 5))).all()


def test_a_weighted_loss_by_hand():
    logits = jnp.log(jnp.asarray([[0.7, 0.3], [0.4, 0.6]]))
    some = Batch(logits, jnp.asarray([0, 0]), jnp.asarray([True, True]))
    sums = cross_entropy(logits, some, class_weights=jnp.asarray([3.0, 1.0]))
    assert float(sums.loss) == pytest.approx(-3 * np.log([0.7, 0.4]).sum(), rel=1e-6)
    assert (float(sums.weight), float(sums.score), float(sums.score_weight)) == (6.0, 1.0, 2.0)


def test_label_smoothing_by_hand():
    logits = jnp.log(jnp.asarray([[0.7, 0.2, 0.1]]))
    one = Batch(logits, jnp.asarray([0]), jnp.asarray([True]))
    expected = -(0.9 * np.log(0.7) + 0.1 / 3 * np.log([0.7, 0.2, 0.1]).sum())
    np.testing.assert_allclose(cross_entropy(logits, one, label_smoothing=0.1).loss, expected, rtol=1e-6)


def test_padding_counts_for_nothing():
    logits = jnp.asarray([[2.0, 0.0], [0.0, 5.0]])
    sums = cross_entropy(logits, Batch(logits, jnp.asarray([0, 0]), jnp.asarray([True, False])))
    assert (float(sums.score), float(sums.weight)) == (1.0, 1.0)


def test_a_label_that_training_lacks_is_no_part_of_the_loss():
    logits = jnp.log(jnp.asarray([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]))
    batch = Batch(logits, jnp.asarray([0, 2, 0]), jnp.asarray([True, True, False]))
    for smoothing, weights in ((0.0, None), (0.0, jnp.asarray([1.0, 1.0])), (1e-9, None)):
        sums = cross_entropy(logits, batch, label_smoothing=smoothing, class_weights=weights)
        assert float(sums.loss) == pytest.approx(-np.log(0.7), rel=1e-6)
        assert (float(sums.weight), float(sums.score), float(sums.score_weight)) == (1.0, 1.0, 2.0)
