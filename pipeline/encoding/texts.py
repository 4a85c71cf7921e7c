"""Tables of texts -> token numbers, end to end, and the tokenizer."""

from typing import Any

import numpy as np

from pipeline.config import paths
from pipeline.config.preprocessing import TextPreprocessing
from pipeline.encoding import fit_tokenizer, tables
from pipeline.runtime.encoders import text_tokenizer
from pipeline.tasks import TextClassification


def write(settings: TextPreprocessing) -> tuple[TextClassification, dict[str, Any]]:
    """Writes the tokenizer and the arrays of every split; returns the facts of the task, and figures for the report."""
    spec = settings.spec
    labels = tuple(sorted(set(tables.column("train", "label"))))
    number = {label: i for i, label in enumerate(labels)}
    tokenizer = fit_tokenizer.fit(tables.column("train", "text"), spec)
    fit_tokenizer.save(tokenizer, paths.TOKENIZER)
    size = tokenizer.get_vocab_size()
    counts, report = np.zeros(len(labels), int), {}
    for split in tables.splits():
        kept: list[np.ndarray] = []
        sizes: list[int] = []
        for tokens in tables.progress(text_tokenizer.encode(tokenizer, tables.column(split, "text")), split):
            sizes.append(len(tokens))
            kept.append(text_tokenizer.truncate(tokens, spec).astype(tables.smallest(size)))
        targets = np.array([number[label] for label in tables.column(split, "label")], np.int32)
        tables.save(
            split,
            tokens=np.concatenate(kept),
            starts=tables.starts([len(tokens) for tokens in kept]),
            targets=targets,
            ids=tables.ids(split),
        )
        if split == "train":
            counts = np.bincount(targets, minlength=len(labels))
        cut = sum(n > spec.max_length for n in sizes)
        report[split] = {"tokens": tables.spread(np.array(sizes)), "cut": cut, "without_tokens": sizes.count(0)}
    task = TextClassification(
        name="text-classification", text=settings, vocabulary=size, labels=labels, counts=tuple(counts.tolist())
    )
    return task, report
