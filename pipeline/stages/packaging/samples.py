"""sample/: a few raw inputs of the test split, and in expected.json what evaluate found for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.loaders import token_store
from pipeline.runtime import strict_json
from pipeline.runtime.encoders import images, text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.tasks import ImageClassification, LanguageModelling, SequenceTagging, Task

SAMPLES = 3
TOKENS = 100  # of a sample for a language model, at most
PREDICTIONS = paths.EVALUATION / "test.parquet"


def write(folder: Path, task: Task, context: int) -> None:
    """Writes the samples of a task. `context` is a language model's."""
    folder.mkdir()
    if isinstance(task, LanguageModelling):
        samples = list(_document_beginnings(task, min(TOKENS, context - 1)))
    elif isinstance(task, SequenceTagging):
        samples = list(_sentences(task))
    else:
        samples = list(_whole_examples(folder, isinstance(task, ImageClassification)))
    strict_json.write(folder / "expected.json", {"samples": samples})


def _document_beginnings(task: LanguageModelling, max_tokens: int) -> Iterable[dict[str, Any]]:
    """The first tokens of a few test documents, and their loss in nats."""
    tokenizer = ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), task.text.spec)
    scores = pd.read_parquet(PREDICTIONS, columns=["place", "token", "loss"])
    starts = token_store.load(paths.features("test")).starts
    for start, end in zip(starts[:SAMPLES], starts[1:]):
        tokens = scores[(scores["place"] > start) & (scores["place"] < end)][:max_tokens]
        text = "".join(tokenizer.decode(tokens["token"].tolist()))
        yield {"text": text, "tokens": len(tokens), "nats": round(float(np.sum(np.asarray(tokens["loss"]))), 3)}


def _sentences(task: SequenceTagging) -> Iterable[dict[str, Any]]:
    predictions = pd.read_parquet(PREDICTIONS)
    for row in _test_rows():
        words = row["words"][: task.words.max_length]
        tags = predictions[predictions["id"] == row["id"]][: len(words)]
        yield {"words": words, **_answer(tags["prediction"], tags["probability"])}


def _whole_examples(folder: Path, are_images: bool) -> Iterable[dict[str, Any]]:
    predictions = pd.read_parquet(PREDICTIONS)
    for i, row in enumerate(_test_rows()):
        label = predictions["prediction"].iloc[i]
        answer = _answer([label], [predictions[f"probability of {label}"].iloc[i]])
        if are_images:
            name = f"{i}.{images.suffix(row['image'])}"
            (folder / name).write_bytes(row["image"])
            yield {"file": name, **answer}
        else:
            yield {"text": row["text"], **answer}


def _test_rows() -> list[dict[str, Any]]:
    table = pq.ParquetFile(paths.prepared("test"))
    return next(table.iter_batches(batch_size=SAMPLES)).to_pylist()


def _answer(labels: Iterable[str], probabilities: Iterable[float]) -> dict[str, Any]:
    return {"labels": list(labels), "probabilities": [round(float(p), 4) for p in probabilities]}
