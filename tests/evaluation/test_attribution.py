"""Explanations are of the very input that was predicted, what they add up to is true, and their quality is measured."""

import json
import re
from html import unescape
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_tasks
from flax import nnx
from PIL import Image
from sources import picture

from pipeline.config import paths
from pipeline.config.networks import CNNConfig, LinearConfig, LSTMConfig, NetworkSettings, TextCNNConfig
from pipeline.config.preprocessing import TextPreprocessing
from pipeline.encoding import fit_tokenizer
from pipeline.evaluation import metrics
from pipeline.evaluation.explanations import attribution, baselines, examples, faithfulness
from pipeline.evaluation.predictor import Predictor, Tree, predict, variables
from pipeline.evaluation.report import examples as report_examples
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Texts
from pipeline.examples.task import Task
from pipeline.models import build
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.explanations import methods, words
from pipeline.tasks.classification import Classification

CNN = CNNConfig(filters=8, kernel=3)


def untrained(config: NetworkSettings, task: Task) -> tuple[Predictor, Tree]:
    model = build(config, task.inputs, task.outputs, rngs=nnx.Rngs(0))
    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    return Predictor(task, nnx.graphdef(model)), tree


def folders() -> None:
    for folder in (paths.EVALUATION, paths.IMAGES, paths.ENCODER, paths.PREPARED, *map(paths.features, paths.SPLITS)):
        folder.mkdir(parents=True, exist_ok=True)


def store_images(count: int) -> None:
    """Images of every split, as the stages before evaluate leave them."""
    folders()
    for seed, split in enumerate(("train", "test")):
        data = small_tasks.examples(small_tasks.images(), count, seed)
        np.save(paths.features(split) / "images.npy", data.inputs["images"])
        np.save(paths.features(split) / "targets.npy", data.targets)
    files = [picture(seed=i) for i in range(count)]
    table = {"image": files, "source": [f"x.zip: <{i}>.png" for i in range(count)]}
    pq.write_table(pa.table(table), paths.prepared("test"))


def test_pixels_add_up_to_the_log_odds_beyond_those_of_the_baselines():
    task: Any = small_tasks.images()
    predictor, tree = untrained(CNN, task)
    data = small_tasks.examples(task, 6)
    given, typical = np.asarray(data.inputs["images"]), baselines.centres(np.asarray(data.inputs["images"]), 2)
    guesses = predict(predictor, tree["params"], tree["model_state"], data).argmax(-1)
    maps, wanted, errors = methods.integrated(attribution.gradient(predictor, tree), given, guesses, typical)

    def log_odds(images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        some = Examples({"images": images}, np.zeros(len(images), np.int32), None)
        chances = metrics.softmax(predict(predictor, tree["params"], tree["model_state"], some))
        own = chances[np.arange(len(images)), outputs]
        return np.log(own / (1 - own))

    before = np.mean([log_odds(np.repeat(one[None], 6, axis=0), guesses) for one in typical], axis=0)
    np.testing.assert_allclose(wanted, log_odds(given, guesses) - before, atol=1e-3)
    np.testing.assert_allclose(maps.sum((1, 2)), wanted, atol=0.01 * np.abs(wanted).max())
    assert errors.max() < 0.01 * np.abs(wanted).max()


def test_token_slopes_are_those_of_the_vectors():
    """Half the scale is half of each vector; a network without vectors says so."""
    task = small_tasks.texts()
    predictor, tree = untrained(TextCNNConfig(width=8, filters=8, kernels=(2,), dropout=0.0), task)
    tokens, outputs = jnp.asarray([[5, 6, 7, 0]]), jnp.asarray([2])

    def score(scale: float) -> float:
        one = np.full(1, scale, np.float32)
        return float(
            attribution.token_slopes(predictor, tree["params"], tree["model_state"], [tokens], outputs, one)[0][0]
        )

    halved = tree["params"] | {"embed": {"table": tree["params"]["embed"]["table"] / 2}}
    found = attribution.token_slopes(predictor, halved, tree["model_state"], [tokens], outputs, np.ones(1, np.float32))
    assert score(0.5) == pytest.approx(float(found[0][0]), abs=1e-6)
    _, slopes = attribution.token_slopes(
        predictor, tree["params"], tree["model_state"], [tokens], outputs, np.ones(1, np.float32)
    )
    assert float(slopes.sum()) == pytest.approx((score(1.001) - score(0.999)) / 0.002, rel=0.05, abs=1e-3)
    assert float(slopes[0, 3]) == 0  # padding
    predictor, tree = untrained(LinearConfig(ngrams=1, buckets=1_000), task)
    with pytest.raises(attribution.NoVectors):
        attribution.token_slopes(
            predictor, tree["params"], tree["model_state"], [tokens], outputs, np.ones(1, np.float32)
        )


def test_token_slopes_of_a_tag_add_up():
    """To what the tag's score gains from vectors of zeros, by the places of the words."""
    task = small_tasks.tagging()
    predictor, tree = untrained(LSTMConfig(width=8, dropout=0.0), task)
    random = np.random.default_rng(0)
    ids = random.integers(2, 52, 5).astype(np.int32)
    characters = random.integers(1, 30, (5, 6)).astype(np.int32)

    def slopes(*given: np.ndarray) -> words.TokenSlopes:
        texts, of = given[:2], given[2:]
        found = attribution.token_slopes(predictor, tree["params"], tree["model_state"], texts, *of)
        return words.TokenSlopes(*map(np.asarray, found))

    one, other = (words.integrated([ids, characters], np.arange(6), 1, slopes, place) for place in (0, 3))
    assert one.gap < 0.01 * np.abs(one.weights).sum()
    assert other.gap < 0.01 * np.abs(other.weights).sum()
    assert not np.allclose(one.weights, other.weights)


def test_baselines_are_means_of_many_images_and_few_where_these_are_alike():
    random = np.random.default_rng(0)
    dark, bright = (random.integers(low, low + 20, (40, 6, 5, 1)).astype(np.uint8) for low in (0, 200))
    found = baselines.centres(np.concatenate([dark, bright, bright[:1] * 0 + 128]), 2)
    assert sorted(found.mean((1, 2, 3)).round(-1).tolist()) == [10, 210]
    assert baselines.centres(np.zeros((50, 6, 5, 3), np.uint8)).shape == (1, 6, 5, 3)
    assert baselines.centres(dark[:3]).shape == (1, 6, 5, 1)


def test_what_is_shown_of_a_text_is_the_input_that_was_predicted(tmp_path, monkeypatch):
    """The user's own text; tokenized and predicted again, it gives the same answer."""
    monkeypatch.chdir(tmp_path)
    folders()
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
        data = Examples({"tokens": np.concatenate(tokens)}, np.zeros(len(texts), np.int32), starts)
        return metrics.softmax(predict(predictor, tree["params"], tree["model_state"], data)), data

    probabilities, data = predicted(texts)
    for name, array in (("tokens", data.inputs["tokens"]), ("targets", data.targets), ("starts", data.starts)):
        np.save(paths.features("test") / f"{name}.npy", np.asarray(array))
    kind, rows = examples.explainable(predictor, tree, network, "test"), list(range(len(texts)))
    shown = kind.show(rows, kind.attribute(rows, probabilities.argmax(-1).tolist()))
    stated = [re.search(r"<figure[^>]*><p[^>]*>(.*?)</p>", one.html(), re.DOTALL) for one in shown]
    own = [unescape(re.sub("<[^>]+>", "", found[1])) for found in stated if found]
    assert own == texts
    assert [one.source for one in shown] == [f"mails.csv row {len(text)}" for text in own]
    np.testing.assert_allclose(predicted(own)[0], probabilities, atol=1e-6)


OWN = ("The CAFÉ is o\u0301pen ﬁne 👍🏽 कि", "漢字 Ünïcode  two  blanks\n", "x" * 30)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "words", "characters"])
def test_pieces_are_the_users_own_text_and_words_are_whole(kind):
    spec = TextSpec(kind, vocabulary=300, normalisation="nfkc", lowercase=True, max_length=50, keep="ends")
    tokenizer = fit_tokenizer.fit(list(OWN), spec)
    for text in OWN:
        assert "".join(text_tokenizer.pieces(tokenizer, text, spec)) == text
    pieces = text_tokenizer.pieces(tokenizer, "It's unbelievable, and red", spec)
    starts = words.borders(pieces)
    found = ["".join(pieces[a:b]).strip() for a, b in zip(starts, starts[1:])]
    assert [word for word in found if word.isalpha()] == ["unbelievable", "and", "red"]
    few = TextSpec(kind, vocabulary=300, normalisation="nfkc", lowercase=True, max_length=4, keep="ends")
    cut = text_tokenizer.pieces(tokenizer, "The CAFÉ is open, and many are in it", few)
    assert len(cut) == 4
    assert cut[0].startswith("T")
    assert cut[2].endswith(" [...] ")
    assert cut[3].endswith("t")


def test_pictures_of_mistakes_say_in_words_what_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_images(2)
    task: Any = small_tasks.images()
    predictor, tree = untrained(CNN, task)
    worst = pd.DataFrame({"row": [1], "output": [0], "answer": ["v"], "truth": ["w"], "remark": ["90 % sure"]})
    _, (shown,) = report_examples.explained(predictor, tree, CNN, worst)
    assert re.search(r'alt="What counts in it. Most for it: (top|middle|bottom|centre)', shown)
    with Image.open(paths.IMAGES / "mistakes.png") as written:
        assert written.width > 500


def test_explanations_of_a_network_that_looks_at_one_place_are_found_faithful(tmp_path, monkeypatch):
    """And so good that deletion and insertion are far from random; equal runs give equal files."""
    monkeypatch.chdir(tmp_path)
    store_images(24)
    task: Any = small_tasks.images()
    predictor, tree = untrained(CNN, task)
    kernel = np.zeros(tree["params"]["head"]["kernel"].shape, np.float32).reshape(6, 4, 8, 5)
    kernel[2:4, 1:3, :, 0] = 0.5
    tree["params"]["head"]["kernel"] = jnp.asarray(kernel.reshape(-1, 5))
    written = []
    for _ in range(2):
        faithfulness.write(predictor, tree, CNN)
        written.append([path.read_bytes() for path in (faithfulness.FILE, paths.IMAGES / "explanations.png")])
    assert written[0] == written[1]
    found = json.loads(faithfulness.FILE.read_text())
    assert found["examples"] == 24
    assert found["completeness_gap"] < 0.01
    for name, sign in (("deletion", -1), ("insertion", 1)):
        low, high = sorted(sign * found[name][f"difference_{end}"] for end in ("low", "high"))
        assert 0 < low <= high, found[name]
    assert abs(found["shuffled_network"]["rank_correlation"]) < 0.5
