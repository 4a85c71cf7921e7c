"""Tables of texts -> token numbers, end to end, and the tokenizer."""

from array import array
from typing import Any

import numpy as np

from pipeline.config import paths
from pipeline.config.preprocessing import TextPreprocessing
from pipeline.encoding import fit_tokenizer, tables
from pipeline.examples.inputs import Texts
from pipeline.runtime.encoders import text_tokenizer


def write(settings: TextPreprocessing) -> tuple[Texts, dict[str, Any], str]:
    """Writes the tokenizer and the arrays of every split; returns what was learnt of the texts, figures for the report,
    and a summary.
    """
    spec, report = settings.spec, {}
    tokenizer = fit_tokenizer.fit(tables.column("train", "text"), spec)
    fit_tokenizer.save(tokenizer, paths.TOKENIZER)
    size = tokenizer.get_vocab_size()
    for split in tables.splits():
        kept, sizes = tables.Concatenation(tables.smallest(size)), array("q")
        for tokens in tables.progress(text_tokenizer.encode(tokenizer, tables.column(split, "text")), split):
            sizes.append(len(tokens))
            kept.add(text_tokenizer.truncate(tokens, spec))
        tables.save(split, tokens=kept.whole, starts=tables.starts(kept.sizes), ids=tables.ids(split))
        cut = sum(n > spec.max_length for n in sizes)
        report[split] = {"tokens": tables.spread(np.array(sizes)), "cut": cut, "without_tokens": sizes.count(0)}
    cut, median = sum(split["cut"] for split in report.values()), report["train"]["tokens"]["median"]
    summary = f"{size:,} tokens, {median:.0f} in the median text; {cut:,} cut"
    return Texts(settings=settings, vocabulary=size), report, summary
