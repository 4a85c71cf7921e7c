"""Explanations of texts, tags and next tokens by the package's code alone: by whole words, and of the answer given."""

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from small_tasks import tagging

from pipeline.encoding import fit_tokenizer
from pipeline.runtime.commands.predict import Input
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.runtime.encoders.specs import CorpusSpec, TextSpec
from pipeline.runtime.encoders.word_vocabulary import Vocabulary
from pipeline.runtime.explanations import page, scores, terminal, texts, words
from pipeline.runtime.explanations.next_token import NextToken
from pipeline.runtime.explanations.sentences import Sentences
from pipeline.runtime.explanations.texts import Pages, Texts
from pipeline.runtime.inputs.sentences import Sentences as SentenceInputs
from pipeline.runtime.inputs.texts import Texts as TextInputs
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.tasks.classification import Classification
from pipeline.runtime.tasks.multi_label_classification import MultiLabelClassification
from pipeline.runtime.tasks.regression import Regression
from pipeline.runtime.tasks.sequence_tagging import SequenceTagging

SPEC = TextSpec("words", vocabulary=50, normalisation="none", lowercase=False, max_length=20, keep="start")
TEXT = "buy <b> this & that pill"


def asked(task: Any, votes: dict[str, float], spec: TextSpec = SPEC) -> tuple[Any, Any]:
    """A predictor of texts: each token votes for the second of two outputs."""
    tokenizer = fit_tokenizer.fit([" ".join(votes)], spec)
    made: Any = object.__new__(Predictor)
    table = np.zeros(tokenizer.get_vocab_size() + 10)
    for word, vote in votes.items():
        table[tokenizer.token_to_id(word)] = vote

    def outputs(given: list[Any]) -> list[np.ndarray]:
        odds = [table[tokens].sum() for (tokens,) in given]
        return [np.array([1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))], np.float32) for x in odds]

    made.inputs, made.task, made.outputs = TextInputs(tokenizer, spec), task, outputs
    return made, made.inputs.encode(TEXT, "a text")


def test_a_words_part_of_the_log_odds_is_its_vote(tmp_path, capsys, monkeypatch):
    task = Classification(["ham", "spam"])
    predictor, arrays = asked(task, {"buy": 3.0, "pill": 14.0, "that": -2.0, "this": 0.0})
    (row,) = predictor.outputs([arrays])
    found = Pages(Texts(predictor), tmp_path / "page.html").explain(Input("input 1", (), TEXT), arrays, row)
    (fact,) = found.facts
    assert fact["of"] == "spam"
    assert "".join(part["text"] for part in fact["parts"]) == TEXT
    given = {part["text"].split()[0]: part["weight"] for part in fact["parts"]}
    # Of a probability near 1, 32 bits hold no more.
    assert [given["buy"], given["pill"], given["that"]] == pytest.approx([3.0, 14.0, -2.0], abs=0.01)
    html = (tmp_path / "page.html").read_text()
    assert TEXT in unescape(re.sub("<[^>]+>", "", html))
    assert re.search(rf'rgba\({page.RED},{page.OPACITY:.2f}\)">pill<', html)
    assert 'aria-label="Most for it: pill, buy; most against it: that"' in html

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    found.show()
    assert capsys.readouterr().out.splitlines() == [
        "  for spam 1.0000 (+) and against it (-):",
        *("    +14.0000  pill", "     +3.0000  buy", "     -2.0000  that"),
    ]
    monkeypatch.setenv("NO_COLOR", "")
    found.show()
    line = capsys.readouterr().out
    assert "\x1b[48;5;160;38;5;231mpill\x1b[0m" in line
    assert re.sub("\x1b[^m]*m", "", line) == f"  spam 1.0000: {TEXT}\n"


def test_no_colours_where_nobody_sees_them(monkeypatch, capsys):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert not terminal.has_colours()
    assert terminal.coloured(["\x1b[2J", "a\r"], [1.0, 0.0]).count("\x1b") == 2  # ours alone


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["un", "believ", "able ", "news"], ["unbelievable ", "news"]),
        (["don", "'", "t ", "stop", "!", "!"], ["don't ", "stop", "!", "!"]),
        (["  ", "a", " ", "b"], ["  a ", "b"]),
        (["漢", "字", "ひ", "ら"], ["漢", "字", "ひ", "ら"]),
        (["한", "국", "어 ", "말"], ["한국어 ", "말"]),
        (["", "", "👍"], ["👍"]),
        (["caf", "e\u0301 ", "au"], ["cafe\u0301 ", "au"]),
        (["one", " two", " three"], ["one", " two", " three"]),
        ([], []),
    ],
)
def test_words_of_any_script(pieces, expected):
    starts = words.borders(pieces)
    assert ["".join(pieces[a:b]) for a, b in zip(starts, starts[1:])] == expected


def test_of_a_long_text_the_words_that_count_most_stand_alone():
    votes = np.zeros(1_000)
    votes[[17, 333, 700]] = 5.0, -3.0, 1.0
    asked: list[int] = []

    def score(variants: list[np.ndarray]) -> np.ndarray:
        asked.append(len(variants))
        return np.array([[votes[tokens].sum()] for tokens in variants])

    starts, drops = words.leave_one_out(np.arange(1_000), np.arange(1_001), [0], score)
    assert sum(asked) <= words.EVALUATIONS + 1
    assert (starts[0], starts[-1]) == (0, 1_000)
    assert drops.sum() == pytest.approx(3.0)
    found = {(int(a), int(b)): float(drop) for a, b, (drop,) in zip(starts, starts[1:], drops)}
    assert found[17, 18] == 5.0
    assert found[333, 334] == -3.0
    assert max(b - a for a, b in found) > 1


def test_texts_of_few_words_or_none():
    def score(variants: list[np.ndarray]) -> np.ndarray:
        return np.array([[len(tokens), 0.0] for tokens in variants])

    starts, drops = words.leave_one_out(np.arange(3), np.array([0, 2, 3]), [0, 1], score)
    assert starts.tolist() == [0, 2, 3]
    assert drops.tolist() == [[2.0, 0.0], [1.0, 0.0]]
    assert words.leave_one_out(np.arange(0), words.borders([]), [0], score).drops.shape == (0, 1)


def test_integrated_gradients_of_texts_add_up():
    """Of a product of a text's scaled votes: the path from zeros has an exact integral."""
    votes = np.arange(8.0)

    def slopes(tokens: np.ndarray, outputs: np.ndarray, scales: np.ndarray) -> words.TokenSlopes:
        sums = votes[tokens].sum(1) * scales
        return words.TokenSlopes(sums**3, 3 * sums[:, None] ** 2 * votes[tokens])

    found = words.integrated([np.array([1, 2, 5])], np.array([0, 2, 3]), 0, slopes)
    assert found.total == pytest.approx(8.0**3)
    assert found.gap < 0.01 * found.total
    assert found.weights == pytest.approx(np.array([3, 5]) / 8 * 8**3, rel=1e-3)


def test_which_words_made_a_tag(capsys):
    """Each word's second tag has the odds of the word before it: the first word's odds are its own."""
    spec = tagging().inputs.settings.spec  # type: ignore[union-attr]
    vocabulary = Vocabulary(["to", "the", "run"], list("tohern"), spec)  # type: ignore[arg-type]
    made: Any = object.__new__(Predictor)
    made.inputs, made.task = SentenceInputs(vocabulary), SequenceTagging(["noun", "verb"])

    def outputs(given: list[Any]) -> list[np.ndarray]:
        found = []
        for ids, characters in given:
            assert (characters[ids == 1] == 0).all()
            odds = 2.0 * (np.concatenate([ids[:1], ids[:-1]]) == 2)
            found.append(np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1))
        return found

    made.outputs = outputs
    content = ["to", "run", "the", "run"]
    arrays = made.encode(content, "x")
    (rows,) = outputs([arrays])
    facts = Sentences(made, of=1).facts(content, arrays, rows)
    assert [fact["word"] for fact in facts] == [0, 1, 2, 3]
    weights = np.array([[part["weight"] for part in fact["parts"]] for fact in facts])
    assert weights == pytest.approx(np.array([[2, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), abs=1e-5)
    (one,) = Sentences(made).facts(content, arrays, rows, word=1)
    assert one["of"] == "verb"
    texts.Explanation([one["title"]], [one]).show()
    assert capsys.readouterr().out == "  run: verb 0.8808: to +2.00\n"

    def slopes(ids: np.ndarray, characters: np.ndarray, of: np.ndarray, scales: np.ndarray, places: np.ndarray):
        before = np.arange(ids.shape[1])[None] == np.maximum(places - 1, 0)[:, None]
        votes = before * 2.0 * (ids == 2)
        return words.TokenSlopes((votes * scales[:, None]).sum(1), votes)

    added = Sentences(made, of=1, slopes=slopes).facts(content, arrays, rows)
    assert np.array([[part["weight"] for part in fact["parts"]] for fact in added]) == pytest.approx(weights, abs=1e-5)


def test_which_words_made_the_next_token():
    """It is the letter of the last capital before it."""
    spec = CorpusSpec("characters", 60, "none")
    tokenizer = ByteTokenizer(fit_tokenizer.fit(["abc ABC def xyz"], spec), spec)
    ids = {token: tokenizer.encode(token)[0] for token in "abcABC"}

    class Model:
        context, bounded = 64, True

        def __init__(self) -> None:
            self.tokenizer = tokenizer

        def init_cache(self, texts: int) -> dict[str, Any]:
            return {}

        def step(self, cache: Any, tokens: np.ndarray) -> tuple[np.ndarray, Any]:
            logits = np.zeros((*tokens.shape, tokenizer.size), np.float32)
            for b, row in enumerate(tokens):
                last = None
                for t, token in enumerate(row):
                    last = next((c for c in "ABC" if ids[c] == token), last)
                    logits[b, t, ids[last.lower()] if last else 0] = 5.0
            return logits, cache

    made: Any = NextToken(Model())  # type: ignore[arg-type]
    (fact,) = made.facts("xyz A def B def")
    assert fact["of"] == "b"
    weights = {part["text"].strip(): part["weight"] for part in fact["parts"]}
    assert weights["B"] > 4
    assert weights["A"] == weights["xyz"] == 0


def test_what_is_explained_is_what_was_predicted():
    row = np.array([0.2, 0.7, 0.1], np.float32)
    one = Classification(["a", "b", "c"])
    several = MultiLabelClassification(["a", "b", "c"], [0.1, 0.5, 0.5])
    none = MultiLabelClassification(["a", "b", "c"], [0.9, 0.9, 0.9])
    numbers = Regression(["price", "size", "age"], {})
    expected = [([1], one), ([0, 1], several), ([1], none), ([0, 1, 2], numbers)]
    for outputs, task in expected:
        assert scores.explained(task, row, None) == outputs
        assert scores.explained(task, row, 2) == [2]
    assert scores.scores(numbers, row[None]).tolist() == row[None].astype(float).tolist()
    assert scores.scores(several, row[None])[0] == pytest.approx(np.log(row / (1 - row)), rel=1e-5)
    sure = np.array([[1.0, 1e-12]], np.float32)
    assert scores.scores(Classification(["a", "b"]), sure)[0, 0] == pytest.approx(12 * np.log(10), rel=0.01)
