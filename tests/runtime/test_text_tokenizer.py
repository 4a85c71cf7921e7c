"""Texts and sentences become numbers: fitted on what is given alone, the same each time, whatever the letters."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pipeline.encoding import fit_tokenizer, fit_vocabulary
from pipeline.encoding.fit_tokenizer import VocabularyTooSmall
from pipeline.runtime.encoders import text_tokenizer, word_vocabulary
from pipeline.runtime.encoders.specs import TextSpec, WordSpec
from pipeline.runtime.encoders.valid_text import valid_text
from pipeline.runtime.errors import UserError

CORPUS = [
    "The cat sat on the mat.",
    "A dog, a cat and a mouse!",
    "naïve café 中文 日本語",
    "e\u0301 is not é to all",
] * 3
STRANGE = ["", " ", "🎉👩‍👩‍👧", "中文", "a\u0301", "\x00", "ﬁ ½ ①", "\r\n\t"]
KINDS = ["bpe", "wordpiece", "words", "characters"]


def spec(kind: Any, **changes: Any) -> TextSpec:
    values: dict[str, Any] = {
        "tokenizer": kind,
        "vocabulary": 300,
        "normalisation": "nfkc",
        "lowercase": True,
        "max_length": 8,
        "keep": "start",
    }
    return TextSpec(**values | changes)


def numbers(tokenizer: text_tokenizer.Tokenizer, text: str) -> list[int]:
    return next(text_tokenizer.encode(tokenizer, [text])).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_texts_give_an_equal_tokenizer(kind):
    here = fit_tokenizer.fit(CORPUS, spec(kind)).to_str()
    assert fit_tokenizer.fit(iter(CORPUS), spec(kind)).to_str() == here
    code = (
        "import sys; sys.path[:0] = ['.', 'tests/runtime']\n"
        "from test_text_tokenizer import CORPUS, fit_tokenizer, spec\n"
        f"sys.stdout.buffer.write(fit_tokenizer.fit(CORPUS, spec({kind!r})).to_str().encode())"
    )
    for seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env={"PYTHONHASHSEED": seed, "PATH": ""}, check=True
        )
        assert there.stdout.decode() == here


@pytest.mark.parametrize("kind", KINDS)
def test_any_letters_are_encoded(kind, tmp_path):
    tokenizer = fit_tokenizer.fit(CORPUS, spec(kind))
    size = tokenizer.get_vocab_size()
    assert size <= 300
    for text in STRANGE + CORPUS:
        found = numbers(tokenizer, text)
        assert all(0 < token < size for token in found)  # 0 is padding
    fit_tokenizer.save(tokenizer, tmp_path / "tokenizer.json")
    again = text_tokenizer.load(tmp_path / "tokenizer.json")
    assert [numbers(again, text) for text in CORPUS] == [numbers(tokenizer, text) for text in CORPUS]


def test_bytes_lose_nothing():
    tokenizer = fit_tokenizer.fit(CORPUS, spec("bpe", normalisation="none", lowercase=False))
    random = np.random.default_rng(0)
    valid = np.array([code for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    scattered = ["".join(map(chr, random.choice(valid, 20))) for _ in range(200)]
    for text in [*STRANGE, *CORPUS, "Ünseen \u202e text", *scattered]:
        assert tokenizer.decode(numbers(tokenizer, text)) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["none", "nfc", "nfkc"])
def test_a_tokenizer_is_read_as_it_was_written(kind, form, tmp_path):
    tokenizer = fit_tokenizer.fit(CORPUS, spec(kind, normalisation=form, lowercase=False))
    fit_tokenizer.save(tokenizer, tmp_path / "tokenizer.json")
    again = text_tokenizer.load(tmp_path / "tokenizer.json")
    assert again.to_str() == tokenizer.to_str()
    assert [numbers(again, text) for text in STRANGE] == [numbers(tokenizer, text) for text in STRANGE]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_known_but_what_was_fitted(kind):
    """Nor does what is encoded later teach a tokenizer anything."""
    tokenizer = fit_tokenizer.fit(["cat cat dog"], spec(kind))
    before = tokenizer.to_str()
    numbers(tokenizer, "mouse mouse mouse")
    assert tokenizer.to_str() == before
    assert not [token for token in tokenizer.get_vocab() if "mouse" in token]


@pytest.mark.parametrize("kind", ["words", "characters", "wordpiece"])
def test_what_was_not_fitted_is_unknown(kind):
    tokenizer = fit_tokenizer.fit(["cat cat dog"], spec(kind))
    assert set(numbers(tokenizer, "Ж")) == {1}
    assert 1 not in numbers(tokenizer, "dog")


def test_case_and_unicode_forms():
    folded = fit_tokenizer.fit(CORPUS, spec("words"))
    assert numbers(folded, "THE \uff23\uff21\uff34") == numbers(folded, "the cat")
    kept = fit_tokenizer.fit(CORPUS, spec("words", normalisation="none", lowercase=False))
    assert numbers(kept, "THE cat") != numbers(kept, "the cat")
    composed = fit_tokenizer.fit(CORPUS, spec("characters", normalisation="nfc"))
    assert numbers(composed, "e\u0301") == numbers(composed, "é")


def test_the_most_frequent_words_are_kept():
    tokenizer = fit_tokenizer.fit(["b a a c c c"], spec("words", vocabulary=4))
    assert numbers(tokenizer, "c a b") == [2, 3, 1]


def test_what_is_kept_of_a_long_text():
    tokens = np.arange(20, dtype=np.int32)
    assert text_tokenizer.truncate(tokens, spec("words")).tolist() == list(range(8))
    assert text_tokenizer.truncate(tokens, spec("words", keep="ends")).tolist() == [0, 1, 2, 3, 4, 5, 18, 19]
    assert text_tokenizer.truncate(tokens[:8], spec("words", keep="ends")).tolist() == list(range(8))
    assert text_tokenizer.truncate(tokens, spec("words", keep="ends", max_length=1)).tolist() == [0]


def test_too_small_a_vocabulary_for_bytes():
    with pytest.raises(VocabularyTooSmall, match="bpe needs a token for each of 256 bytes"):
        fit_tokenizer.fit(CORPUS, spec("bpe", vocabulary=100))


def test_too_small_a_vocabulary_for_characters():
    with pytest.raises(VocabularyTooSmall, match="wordpiece needs at least 46 tokens"):
        fit_tokenizer.fit(CORPUS, spec("wordpiece", vocabulary=45))
    assert fit_tokenizer.fit(CORPUS, spec("wordpiece", vocabulary=46)).get_vocab_size() == 46


@pytest.mark.parametrize("content", ["", "{}", "[", '{"version": "1.0"}'])
def test_a_damaged_tokenizer(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match="not a tokenizer"):
        text_tokenizer.load(tmp_path / "tokenizer.json")


def test_half_a_character_is_refused():
    with pytest.raises(UserError, match="input 1: not valid text at character 3"):
        valid_text("ab\ud800", "input 1")


WORDS = WordSpec(vocabulary=2, lowercase=True, max_length=10, word_length=4)


def test_words_and_their_characters(tmp_path):
    vocabulary = fit_vocabulary.fit([["The", "the", "cat", "cat", "the"], ["dog"]], WORDS)
    assert vocabulary.words == ["the", "cat"]
    found = vocabulary.encode(["THE", "dog", "cat", "Ж", "e\u0301"])
    assert found.words.tolist() == [2, 1, 3, 1, 1]
    letter = {c: i for i, c in enumerate(vocabulary.characters, word_vocabulary.FIRST)}
    assert found.characters[1].tolist() == [0, letter["d"], letter["o"], letter["g"]]
    assert found.characters[3].tolist() == [0, 0, 0, word_vocabulary.UNKNOWN]
    assert vocabulary.encode(["thecatdog"]).characters[0].tolist() == [letter[c] for c in "thog"]
    fit_vocabulary.save(vocabulary, tmp_path / "words.json")
    again = word_vocabulary.load(tmp_path / "words.json", WORDS)
    np.testing.assert_array_equal(again.encode(["cat", "x"]).words, vocabulary.encode(["cat", "x"]).words)


def test_composed_and_decomposed_words_are_one():
    vocabulary = fit_vocabulary.fit([["caf\u00e9", "cafe\u0301", "x"]], WORDS)
    assert vocabulary.words == ["caf\u00e9", "x"]
    one, other = (vocabulary.encode([word]).words.tolist() for word in ("CAF\u00c9", "Cafe\u0301"))
    assert one == other == [2]


def test_words_without_letters_or_of_any():
    vocabulary = fit_vocabulary.fit([["a"]], WORDS)
    found = vocabulary.encode(["", *STRANGE, "a" * 10_000])
    assert found.words.min() >= word_vocabulary.UNKNOWN
    assert found.characters.shape == (len(STRANGE) + 2, 4)
    assert not found.characters[0].any()
    assert vocabulary.encode([]).characters.shape == (0, 4)


def test_a_damaged_vocabulary(tmp_path):
    for content in ("[]", "{}", '{"words": []}'):
        (tmp_path / "words.json").write_text(content)
        with pytest.raises(UserError, match="not a vocabulary"):
            word_vocabulary.load(tmp_path / "words.json", WORDS)


def test_ties_are_in_the_order_of_the_alphabet():
    assert fit_vocabulary.fit([["b", "a", "c"]], WORDS).words == ["a", "b"]
