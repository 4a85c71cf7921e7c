"""The runtime by itself: what it imports, and how examples of any number and length become batches."""

import ast
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from imports import TOP

from pipeline.runtime.encoders.specs import WordSpec
from pipeline.runtime.encoders.word_vocabulary import Vocabulary
from pipeline.runtime.inputs.images import Images
from pipeline.runtime.inputs.sentences import Sentences
from pipeline.runtime.inputs.texts import Texts
from pipeline.runtime.predictor import Predictor

LIBRARIES = {"jax", "jaxtyping", "numpy", "onnxruntime", "PIL", "safetensors", "tiktoken", "tokenizers", "webencodings"}
LIBRARIES |= {"pyarrow"}  # for Parquet alone, and not asked for
LIBRARIES |= {"fastapi", "orjson", "prometheus_client", "pydantic", "starlette", "uvicorn"}  # of the server
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
    unused = {"jax", "onnxruntime", "PIL", "tokenizers", "tiktoken", "pydantic", "ruamel.yaml", "pandas", "safetensors"}
    assert not loaded & unused


def predictor(inputs: Any, call: Any, *, compiles: bool = True) -> Predictor:
    """One without a package: `call` is its model."""
    made: Any = object.__new__(Predictor)
    made.inputs, made.engine, made.run = inputs, SimpleNamespace(compiles=compiles), lambda arrays: call(*arrays)
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

    lengths = [0, 1, 16, 17, 100] * 30
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


def test_where_no_shape_is_compiled_nothing_is_padded_that_need_not_be():
    shapes = []

    def call(inputs: np.ndarray) -> np.ndarray:
        shapes.append(inputs.shape)
        return inputs.reshape(len(inputs), -1).sum(-1, keepdims=True)

    pictures = [(np.full((3, 2, 1), i % 40, np.uint8),) for i in range(300)]
    answers = predictor(IMAGES, call, compiles=False).outputs(pictures)
    assert [row.tolist() for row in answers] == [[i % 40 * 6] for i in range(300)]
    texts = [(np.ones(n, np.int32),) for n in (7, 0, 3, *range(70))]
    answers = predictor(TEXTS, call, compiles=False).outputs(texts)
    assert [row.tolist() for row in answers] == [[7], [0], [3], *([n] for n in range(70))]
    predictor(TEXTS, call, compiles=False).outputs(texts[1:2])
    assert shapes == [(256, 3, 2, 1), (44, 3, 2, 1), (64, 60), (9, 69), (1, 1)]


def test_a_long_sentence_is_split_by_either_engine():
    def call(words: np.ndarray, characters: np.ndarray) -> np.ndarray:
        return np.stack([words, characters[..., 0]], -1)

    words, characters = np.arange(1, 51, dtype=np.int32), np.arange(200, dtype=np.int32).reshape(50, 4)
    for compiles in (False, True):
        (rows,) = predictor(sentences(20), call, compiles=compiles).outputs([(words, characters)])
        np.testing.assert_array_equal(rows, np.stack([words, characters[:, 0]], -1))
