"""An encoder's settings: one list of fields in params.yaml and in packages, read as strictly in both."""

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.preprocessing import (
    CorpusPreprocessing,
    ImagePreprocessing,
    TextPreprocessing,
    WordPreprocessing,
)
from pipeline.runtime.encoders import specs
from pipeline.runtime.errors import UserError

IMAGE = {"height": 28, "width": 28, "colour": "grey", "resize": "exact", "margin": 0, "background": "edge"}
TEXT = {
    "tokenizer": "bpe",
    "vocabulary": 300,
    "normalisation": "nfc",
    "lowercase": True,
    "max_length": 9,
    "keep": "ends",
}
CORPUS = {"tokenizer": "bpe", "vocabulary": 300, "normalisation": "none"}
WORDS = {"vocabulary": 9, "lowercase": False, "max_length": 5, "word_length": 4}
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "image": (specs.ImageSpec, ImagePreprocessing, IMAGE),
    "text": (specs.TextSpec, TextPreprocessing, TEXT),
    "corpus": (specs.CorpusSpec, CorpusPreprocessing, CORPUS),
    "words": (specs.WordSpec, WordPreprocessing, WORDS),
}
VALUES = [-1, 0, 1, 2, 257, 1.0, True, False, None, "bpe", "words", "grey", "nfc", "pad", "white", "start", "x", [], {}]


@pytest.mark.parametrize("kind", KINDS)
def test_both_have_the_same_fields(kind):
    spec, settings, content = KINDS[kind]
    assert [field.name for field in dataclasses.fields(spec)] == list(settings.model_fields) == list(content)
    assert settings(**content).spec == specs.read(spec, content, "config.json: preprocessing") == spec(**content)


def test_the_background_of_images_is_black_by_default():
    content = {key: value for key, value in IMAGE.items() if key != "background"}
    assert ImagePreprocessing.model_validate(content).spec.background == "black"
    with pytest.raises(UserError, match=r"^x\.background: is missing$"):  # a package says it
        specs.read(specs.ImageSpec, content, "x")


@pytest.mark.parametrize("kind", KINDS)
def test_both_refuse_the_same_values(kind):
    spec, settings, content = KINDS[kind]
    refused = 0
    for key in content:
        for value in VALUES:
            try:
                settings.model_validate(content | {key: value})
            except ValidationError:
                refused += 1
                with pytest.raises(UserError, match=rf"^config.json: preprocessing\.{key}: must be "):
                    specs.read(spec, content | {key: value}, "config.json: preprocessing")
            else:
                specs.read(spec, content | {key: value}, "config.json: preprocessing")
    assert refused > len(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "^x: must be an object with the keys vocabulary, lowercase, max_length, word_length$"),
        (WORDS | {"more": 1}, "^x.more: unknown key; the keys here: vocabulary, lowercase, max_length, word_length$"),
        ({key: value for key, value in WORDS.items() if key != "lowercase"}, "^x.lowercase: is missing$"),
        (WORDS | {"vocabulary": "9"}, "^x.vocabulary: must be an integer, not '9'$"),
        (WORDS | {"vocabulary": 0}, "^x.vocabulary: must be 1 or more, not 0$"),
        (WORDS | {"lowercase": 1}, "^x.lowercase: must be true or false, not 1$"),
    ],
)
def test_a_mistake_is_one_line(content, message):
    with pytest.raises(UserError, match=message):
        specs.read(specs.WordSpec, content, "x")
