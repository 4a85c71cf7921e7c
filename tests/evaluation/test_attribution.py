"""Explanations are of the very input that was predicted, and what they add up to is true."""

import re
from html import unescape
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_tasks
from flax import nnx
from sources import picture

from pipeline.config import paths
from pipeline.config.networks import CNNConfig, LinearConfig, NetworkSettings, TextCNNConfig
from pipeline.config.preprocessing import TextPreprocessing
from pipeline.encoding import fit_tokenizer
from pipeline.evaluation import metrics
from pipeline.evaluation.explanations import attribution, examples_page
from pipeline.evaluation.predictor import Predictor, Tree, predict, variables
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Texts
from pipeline.examples.task import Task
from pipeline.models import build, linear
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.explanations.occlusion import EVALUATIONS, Occlusion
from pipeline.tasks.classification import Classification

BUCKETS = 100_003


def untrained(config: NetworkSettings, task: Task) -> tuple[Predictor, Tree]:
    model = build(config, task.inputs, task.outputs, rngs=nnx.Rngs(0))
    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    return Predictor(task, nnx.graphdef(model)), tree


def explain(predictor: Predictor, tree: Tree, *texts: np.ndarray) -> list[Occlusion]:
    return attribution.occlusion(predictor, tree["params"], tree["model_state"], texts, [2] * len(texts))


def test_a_token_adds_its_own_weight_to_a_linear_model():
    predictor, tree = untrained(LinearConfig(ngrams=1, buckets=BUCKETS), small_tasks.texts())
    (bucket,), _ = linear.ngrams(jnp.asarray([[6]]), 1, BUCKETS)
    weights = tree["params"]["weights"]
    weights["table"] = weights["table"].at[bucket, 2].set(4.0)
    (occlusion,) = explain(predictor, tree, np.array([5, 6, 7], np.int32))
    assert occlusion.starts.tolist() == [0, 1, 2, 3]
    without = 4 / 3**0.5 - 4 / 2**0.5
    np.testing.assert_allclose(occlusion.drops, [without, 4 / 3**0.5, without], rtol=1e-5)


def test_texts_of_any_length_are_explained_whole():
    """Of a linear model, a part adds the votes of its tokens."""
    predictor, tree = untrained(LinearConfig(ngrams=1, buckets=BUCKETS), small_tasks.texts())
    table = jnp.arange(BUCKETS * 5, dtype=jnp.float32).reshape(-1, 5) % 7
    tree["params"]["weights"]["table"] = table
    sizes = (1, 0, 64, 128, 129, 450)
    texts = [np.arange(2, 2 + size, dtype=np.int32) for size in sizes]
    for tokens, (starts, drops) in zip(texts, explain(predictor, tree, *texts)):
        assert (starts[0], starts[-1]) == (0, len(tokens))
        step = 1 if len(tokens) <= 128 else -(-len(tokens) // 128)
        assert len(drops) == len(starts) - 1 == -(-len(tokens) // step) <= EVALUATIONS
        if not len(tokens):
            continue
        buckets, _ = linear.ngrams(jnp.asarray(tokens)[:, None], 1, BUCKETS)
        votes = np.asarray(table)[np.asarray(buckets)[:, 0], 2]
        for start, end, drop in zip(starts, starts[1:], drops):
            rest = np.delete(votes, slice(start, end))
            expected = votes.sum() / len(votes) ** 0.5 - rest.sum() / max(len(rest), 1) ** 0.5
            assert drop == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_no_text_and_a_text_without_tokens():
    predictor, tree = untrained(LinearConfig(ngrams=1, buckets=BUCKETS), small_tasks.texts())
    assert explain(predictor, tree) == []
    (occlusion,) = explain(predictor, tree, np.zeros(0, np.uint16))
    assert occlusion.drops.shape == (0,)


def test_the_page_of_mistakes_shows_the_input_that_was_predicted(tmp_path, monkeypatch):
    """The user's own text is on the page; tokenized and predicted again, it gives the probability on the page."""
    monkeypatch.chdir(tmp_path)
    for folder in (paths.EVALUATION, paths.ENCODER, paths.PREPARED):
        folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    settings = TextPreprocessing(
        tokenizer="characters", vocabulary=60, normalisation="nfkc", lowercase=True, max_length=900, keep="start"
    )
    texts = ["".join(random.choice(list("aBcDeFgHiJé <&>"), size)) for size in (3, 150, 450, 900)]
    table = {"id": texts, "text": texts, "label": texts, "source": [f"mails.csv row {len(text)}" for text in texts]}
    pq.write_table(pa.table(table), paths.prepared("test"), row_group_size=3)
    tokenizer = fit_tokenizer.fit(texts, settings.spec)
    fit_tokenizer.save(tokenizer, paths.TOKENIZER)
    task = Classification(
        inputs=Texts(settings=settings, vocabulary=60), labels=tuple("vwxyz"), counts=small_tasks.COUNTS
    )
    network = TextCNNConfig(width=8, filters=8, kernels=(3,), dropout=0.0)
    predictor, tree = untrained(network, task)

    def predicted(texts: list[str]) -> tuple[np.ndarray, Examples]:
        tokens = list(text_tokenizer.encode(tokenizer, texts))
        starts = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
        examples = Examples({"tokens": np.concatenate(tokens)}, np.zeros(len(texts), np.int32), starts)
        return metrics.softmax(predict(predictor, tree["params"], tree["model_state"], examples)), examples

    probabilities, examples = predicted(texts)
    shown = [
        examples_page.Shown(i, int(row.argmax()), f"{task.labels[row.argmax()]} {row.max():.3f}", "true: another")
        for i, row in enumerate(probabilities)
    ]
    examples_page.write(predictor, tree, examples, shown, name="mistakes", title="Mistakes", output="the logit")
    page = (paths.EVALUATION / "mistakes.html").read_text()
    pattern = r"<b>(.) (\S+)</b> \(true: another\)</h3>\n<code>(.*?)</code>\n<p[^>]*>(.*?)</p>"
    stated = re.findall(pattern, page, re.DOTALL)
    shown = [unescape(re.sub("<[^>]+>", "", text)) for *_, text in stated]
    assert sorted(shown) == sorted(texts)
    assert [source for *_, source, _ in stated] == [f"mails.csv row {len(text)}" for text in shown]
    again, _ = predicted(shown)
    for (label, probability, *_), row in zip(stated, again):
        assert label == task.labels[row.argmax()]
        assert float(probability) == pytest.approx(row.max(), abs=6e-4)


OWN = ("The CAFÉ is o\u0301pen ﬁne 👍🏽 कि", "漢字 Ünïcode  two  blanks\n", "x" * 30)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "words", "characters"])
def test_pieces_are_the_users_own_text(kind):
    spec = TextSpec(kind, vocabulary=300, normalisation="nfkc", lowercase=True, max_length=50, keep="ends")
    tokenizer = fit_tokenizer.fit(list(OWN), spec)
    for text in OWN:
        assert "".join(text_tokenizer.pieces(tokenizer, text, spec)) == text
    few = TextSpec(kind, vocabulary=300, normalisation="nfkc", lowercase=True, max_length=4, keep="ends")
    cut = text_tokenizer.pieces(tokenizer, "The CAFÉ is open, and many are in it", few)
    assert len(cut) == 4
    assert cut[0].startswith("T")
    assert cut[2].endswith(" [...] ")
    assert cut[3].endswith("t")


def test_pictures_of_mistakes_name_their_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (paths.EVALUATION, paths.IMAGES, paths.PREPARED):
        folder.mkdir(parents=True)
    task: Any = small_tasks.images()
    predictor, tree = untrained(CNNConfig(filters=8, kernel=3), task)
    table = {"id": ["a", "b"], "image": [picture(seed=i) for i in range(2)], "label": ["v", "w"]}
    pq.write_table(pa.table(table | {"source": ["x.zip: a/1.png", "x.zip: <b>/2.png"]}), paths.prepared("test"))
    shown = [examples_page.Shown(1, 0, "v 0.90", "true: w")]
    examples = small_tasks.examples(task, 2)
    examples_page.write(predictor, tree, examples, shown, name="mistakes", title="Mistakes", output="the logit")
    page = (paths.EVALUATION / "mistakes.html").read_text()
    assert "<b>v 0.90</b> (true: w)</h3>\n<code>x.zip: &lt;b&gt;/2.png</code>\n<p><img" in page


def test_pixels_add_up_to_what_was_predicted():
    """From the logit of a black image to that of the image, whose arg max is the prediction."""
    task: Any = small_tasks.images()
    predictor, tree = untrained(CNNConfig(filters=8, kernel=3), task)
    examples = small_tasks.examples(task, 6)
    params, model_state = tree["params"], tree["model_state"]
    logits = predict(predictor, params, model_state, examples)
    guesses = logits.argmax(-1)
    pixels, errors = attribution.integrated_gradients(
        predictor, params, model_state, examples.inputs["images"], guesses
    )
    black = Examples({"images": np.zeros_like(examples.inputs["images"])}, examples.targets, None)
    difference = logits.max(-1) - predict(predictor, params, model_state, black)[np.arange(6), guesses]
    sums = np.asarray(pixels).sum((1, 2))
    np.testing.assert_allclose(sums, difference, atol=0.05)
    np.testing.assert_allclose(errors, np.abs(sums - difference), atol=1e-4)
    assert np.abs(difference).max() > 0.5
