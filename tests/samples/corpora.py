"""A small corpus and task for language models."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.networks import GPT_SIZES, RNN_SIZES, GPTConfig, GPTSize, RNNConfig, RNNSize
from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.examples.inputs import Corpus
from pipeline.loaders.token_store import TokenStore
from pipeline.tasks.language_modelling import LanguageModelling

VOCABULARY = 12
SETTINGS = CorpusPreprocessing(tokenizer="characters", vocabulary=VOCABULARY, normalisation="none")
TASK = LanguageModelling(inputs=Corpus(settings=SETTINGS, vocabulary=VOCABULARY), counts=(1,) * VOCABULARY)
COMMON = {"variant": "nano", "dropout": 0.0, "precision": "float32"}
CONFIGS = {
    "gpt": lambda context=16, **changes: GPTConfig(**COMMON | {"context": context, "remat": "none"} | changes),
    "linear": lambda context=16, **changes: RNNConfig(**COMMON | {"context": context, "cell": "linear"} | changes),
    "lstm": lambda context=16, **changes: RNNConfig(**COMMON | {"context": context, "cell": "lstm"} | changes),
}
SMALL = (
    (GPT_SIZES, {"nano": GPTSize(2, 16, 4, 2, 32)}),
    (RNN_SIZES, {("linear", "nano"): RNNSize(2, 16), ("lstm", "nano"): RNNSize(2, 16)}),
)


def shrink(monkeypatch: Any) -> None:
    """The variant nano of each model is tiny."""
    for sizes, small in SMALL:
        for name, size in small.items():
            monkeypatch.setitem(sizes, name, size)


def corpus(*sizes: int, seed: int = 0, shards: int = 1) -> TokenStore:
    """Documents of these many tokens, the separator not counted; in several files, if so asked."""
    random = np.random.default_rng(seed)
    parts = [np.concatenate([[0], random.integers(1, VOCABULARY, size)]) for size in sizes]
    row = np.concatenate(parts).astype(np.uint16)
    starts = np.cumsum([0, *(len(part) for part in parts)])
    return TokenStore(np.array_split(row, shards), starts)


def write(text: TokenStore, folder: Path) -> None:
    folder.mkdir(parents=True)
    for i, shard in enumerate(text.shards):
        np.save(folder / f"tokens-{i:05}.npy", shard)
    np.save(folder / "starts.npy", text.starts)
