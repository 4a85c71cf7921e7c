"""Figures by hand, and as the libraries have them."""

import jax.numpy as jnp
import numpy as np
import pytest
import seqeval.metrics
import small_tasks
from sklearn.utils.class_weight import compute_class_weight

from pipeline.config.networks import LinearConfig
from pipeline.config.optimizers import SGD
from pipeline.evaluation import attribution, html, metrics, spans
from pipeline.models import linear
from pipeline.tasks import Batch
from pipeline.tasks.loss import balanced, score
from pipeline.training import optimizers, trainer

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("seed", range(20))
def test_spans_are_those_of_seqeval(seed):
    """On any sequence of tags, well-formed or not."""
    random = np.random.default_rng(seed)
    actual, predicted = ([random.choice(TAGS, random.integers(1, 12)).tolist() for _ in range(8)] for _ in range(2))
    predicted = [(guess * 12)[: len(there)] for there, guess in zip(actual, predicted)]
    actual[0][0] = predicted[0][0] = "B-PER"  # seqeval warns where there is no span at all
    found = spans.scores(actual, predicted)
    assert found["precision"] == pytest.approx(seqeval.metrics.precision_score(actual, predicted))
    assert found["recall"] == pytest.approx(seqeval.metrics.recall_score(actual, predicted))
    assert found["f1"] == pytest.approx(seqeval.metrics.f1_score(actual, predicted))


def test_which_tags_are_spans():
    assert spans.are_iob2(["B-X", "I-X", "O"])
    assert not spans.are_iob2(["NN", "VB"])
    assert not spans.are_iob2(["O", "I-X"])
    assert not spans.are_iob2(["B-X", "O", "E-X"])


def test_tagging_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    targets, starts, usual = np.array([0, 1, 1, 0]), np.array([0, 2, 4]), np.array([0, -1, -1, 0])
    found = metrics.tagging(probabilities, targets, starts, usual, ("A", "B"))
    assert found["accuracy"] == 0.75
    assert found["unseen"] == {"words": 2, "accuracy": 0.5}
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.5]).mean())
    assert "spans" not in found


def test_a_tag_that_training_lacks_is_an_error():
    """It counts in the accuracy and in the spans, has a row of its own, and no part in the loss."""
    labels = ("B-X", "I-X", "O", "B-NEW", "I-NEW")
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]])
    targets, starts = np.array([0, 1, 3, 4]), np.array([0, 2, 4])
    found = metrics.tagging(probabilities, targets, starts, np.zeros(4, int), labels)
    assert found["accuracy"] == 0.5
    assert found["loss"] == pytest.approx(-np.log([0.8, 0.7]).mean())
    assert found["words_with_unseen_tags"] == 2
    assert found["spans"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "spans": 2.0}
    rows = metrics.per_class(probabilities, targets, labels).set_index("label")
    assert rows.loc["B-NEW"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert metrics.most_confused(targets, probabilities.argmax(-1), classes=5, shown=4).tolist() == [0, 2, 3, 4]


def test_a_label_that_training_lacks_is_no_part_of_the_loss():
    logits = jnp.log(jnp.asarray([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]))
    batch = Batch(logits, jnp.asarray([0, 2, 0]), jnp.asarray([True, True, False]))
    for smoothing, weights in ((0.0, None), (0.0, jnp.asarray([1.0, 1.0])), (1e-9, None)):
        sums = score(logits, batch, label_smoothing=smoothing, class_weights=weights)
        assert float(sums.loss) == pytest.approx(-np.log(0.7), rel=1e-6)
        assert (float(sums.weight), float(sums.correct), float(sums.targets)) == (1.0, 1.0, 2.0)


def test_mistakes_that_cluster_widen_the_interval():
    hits = np.repeat(np.arange(100) % 5 > 0, 10)
    low, high = metrics.interval_of_groups(hits, np.arange(0, 1_001, 10))
    alone = metrics.interval(hits)
    assert low < alone[0] < hits.mean() < alone[1] < high


def test_the_most_confused_classes():
    targets, guesses = np.array([0, 0, 1, 2, 3, 3]), np.array([1, 1, 1, 2, 2, 3])
    assert metrics.most_confused(targets, guesses, classes=5, shown=2).tolist() == [0, 1]


def test_class_weights_are_scikit_learns():
    labels = np.repeat(np.arange(5), small_tasks.COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(balanced(small_tasks.COUNTS), expected, rtol=1e-6)
    assert np.isfinite(balanced((0, 5))).all()


def test_a_weighted_loss_by_hand():
    logits = jnp.log(jnp.asarray([[0.7, 0.3], [0.4, 0.6]]))
    some = Batch(logits, jnp.asarray([0, 0]), jnp.asarray([True, True]))
    sums = score(logits, some, class_weights=jnp.asarray([3.0, 1.0]))
    assert float(sums.loss) == pytest.approx(-3 * np.log([0.7, 0.4]).sum(), rel=1e-6)
    assert (float(sums.weight), float(sums.correct), float(sums.targets)) == (6.0, 1.0, 2.0)


def test_what_a_token_adds():
    """To a linear model, its own weight."""
    task = small_tasks.texts()
    tx = optimizers.build(SGD(name="sgd"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(LinearConfig(ngrams=1, buckets=100_003), task, tx, seed=0)
    tokens = np.array([5, 6, 7], np.int32)
    (bucket,), _ = linear.ngrams(jnp.asarray([[6]]), 1, 100_003)
    weight = state.params["weights"]["table"].at[bucket, 2].set(4.0)
    state.params["weights"]["table"] = weight
    found = attribution.leave_one_out(learn.predictor, state.params, state.model_state, tokens, 2)
    np.testing.assert_allclose(found, [4 / 3**0.5 - 4 / 2**0.5, 4 / 3**0.5, 4 / 3**0.5 - 4 / 2**0.5], rtol=1e-5)


def test_a_long_text_and_one_without_tokens_are_explained():
    """Each token of many is still its own: what is taken out of a vote is its weight."""
    tx = optimizers.build(SGD(name="sgd"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    learn, state = trainer.start(LinearConfig(ngrams=1, buckets=100_003), small_tasks.texts(), tx, seed=0)
    table = state.params["weights"]["table"] = jnp.arange(100_003 * 5, dtype=jnp.float32).reshape(-1, 5) % 7
    for size in (1, 64, 65):
        tokens = np.arange(2, 2 + size, dtype=np.int32)
        found = attribution.leave_one_out(learn.predictor, state.params, state.model_state, tokens, 2)
        buckets, _ = linear.ngrams(jnp.asarray(tokens)[:, None], 1, 100_003)
        votes = np.asarray(table)[np.asarray(buckets)[:, 0], 2]
        expected = votes.sum() / size**0.5 - (votes.sum() - votes) / max(size - 1, 1) ** 0.5
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    assert attribution.leave_one_out(
        learn.predictor, state.params, state.model_state, np.zeros(0, np.int32), 2
    ).shape == (0,)


def test_spans_of_tagged_sentences():
    """A span does not go on from one sentence into the next."""
    labels = ("B-X", "I-X", "O")
    targets = np.array([0, 1, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    found = metrics.tagging(probabilities, targets, np.array([0, 2, 4]), np.zeros(4, int), labels)["spans"]
    assert found == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "spans": 2.0}
    assert metrics.tagging(probabilities, targets, np.array([0, 4]), np.zeros(4, int), labels)["spans"]["spans"] == 1.0


def test_a_page_shows_markup_as_text(tmp_path):
    mistake = html.Mistake("<spam>", 0.9, "<b>ham", ["<script>", "alert()"], np.array([1.0, -0.5]))
    empty = html.Mistake("a", 0.9, "b", [], np.zeros(0))
    html.write_mistakes(tmp_path / "page.html", [mistake, empty], explained=True)
    text = (tmp_path / "page.html").read_text()
    assert "<script>" not in text
    assert "<spam>" not in text
    assert "<b>ham" not in text
    assert "&lt;script&gt;" in text
    assert "rgba(40,80,220" in text
