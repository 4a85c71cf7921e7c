"""The runtime by itself: what it imports, and how examples of any number and length become batches."""

import ast
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from imports import TOP

from pipeline.runtime.encoders.specs import WordSpec
from pipeline.runtime.encoders.word_vocabulary import Vocabulary
from pipeline.runtime.inputs.images import Images
from pipeline.runtime.inputs.sentences import Sentences
from pipeline.runtime.inputs.texts import MIN_LENGTH, Texts
from pipeline.runtime.predictor import Predictor

LIBRARIES = {"jax", "jaxtyping", "numpy", "PIL", "safetensors", "tiktoken", "tokenizers"}
IMAGES: Any = object.__new__(Images)  # how they are encoded is not tried here
TEXTS: Any = object.__new__(Texts)
FILES = sorted((TOP / "pipeline/runtime").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_imports_nothing_of_the_project_but_itself(path):
    """So a copy of the folder runs anywhere."""
    depth = len(path.relative_to(TOP / "pipeline/runtime").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level <= depth
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            tops = {name.split(".")[0] for name in names}
            assert tops <= LIBRARIES | set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", ["package", "predictor"])
def test_to_import_it_loads_no_encoder(module):
    code = f"import sys, pipeline.runtime.{module}; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True).stdout.split())
    assert f"pipeline.runtime.{module}" in loaded
    assert not loaded & {"jax", "PIL", "tokenizers", "tiktoken", "pydantic", "ruamel.yaml", "pandas", "safetensors"}


def predictor(inputs: Any, call: Any) -> Predictor:
    """One without a package: `call` is its model."""
    made = object.__new__(Predictor)
    made.inputs, made._call = inputs, call
    return made


def sentences(longest: int) -> Sentences:
    return Sentences(Vocabulary([], [], WordSpec(1, False, longest, 4)))


def test_long_sentences_are_split_and_rejoined_in_order():
    shapes = []

    def call(words: np.ndarray, characters: np.ndarray) -> np.ndarray:
        shapes.append(words.shape)
        assert characters.shape == (*words.shape, 4)
        return np.stack([words, characters[..., 0]], -1).astype(np.float32)

    random = np.random.default_rng(0)
    lengths = [1, 16, 17, 20, 40, 41, 100, 3, 60, *random.integers(1, 90, 200)]
    some = [(random.integers(1, 99, n).astype(np.int32), random.integers(1, 99, (n, 4))) for n in lengths]
    answers = predictor(sentences(20), call).outputs(some)
    for (words, characters), rows in zip(some, answers, strict=True):
        np.testing.assert_array_equal(rows, np.stack([words, characters[:, 0]], -1))
    assert set(shapes) == {(Sentences.batch_size, length) for length in (16, 32)}


def test_texts_of_a_length_share_batches_of_one_size():
    shapes = []

    def call(tokens: np.ndarray) -> np.ndarray:
        shapes.append(tokens.shape)
        return np.stack([tokens.sum(-1), (tokens > 0).sum(-1)], -1)

    lengths = [0, 1, MIN_LENGTH, MIN_LENGTH + 1, 100] * 30
    texts = [(np.arange(1, n + 1, dtype=np.int32),) for n in lengths]
    answers = predictor(TEXTS, call).outputs(texts)
    assert [row.tolist() for row in answers] == [[n * (n + 1) // 2, n] for n in lengths]
    assert shapes == [(64, 16)] * 2 + [(64, 32), (64, 128)]
    shapes.clear()
    assert predictor(TEXTS, call).outputs(texts[:1])[0].tolist() == [0, 0]
    assert shapes == [(1, 16)]  # one alone is not padded to a batch
    assert predictor(TEXTS, call).outputs([]) == []


def test_images_run_in_full_batches():
    shapes = []

    def call(images: np.ndarray) -> np.ndarray:
        shapes.append(images.shape)
        return images.reshape(len(images), -1)[:, :2]

    pictures = [(np.full((3, 2, 1), i % 256, np.uint8),) for i in range(300)]
    answers = predictor(IMAGES, call).outputs(pictures)
    assert [row.tolist() for row in answers] == [[i % 256] * 2 for i in range(300)]
    assert shapes == [(256, 3, 2, 1)] * 2
