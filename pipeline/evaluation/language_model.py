"""A held-out text as a language model sees it: documents in a table, passages on a page. Axes: m borders of documents,
d documents.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from pipeline.config import paths
from pipeline.evaluation.explanations import html
from pipeline.evaluation.explanations.html import Passage
from pipeline.evaluation.token_losses import TokenLosses
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer

PASSAGE = 600  # tokens of a passage on the page
PASSAGES = 6
COMPARED = 1_000  # characters of a passage by which models are compared


def per_document(tokens: TokenLosses, starts: Int[np.ndarray, " m"], sizes: Int[np.ndarray, "d 2"]) -> pd.DataFrame:
    """A row a document: its tokens, characters and bytes, and its loss. `starts` says where each begins in the split's
    row of tokens, and where the last one ends; `sizes` holds each one's bytes and characters.
    """
    document = np.searchsorted(starts, tokens.place, side="right") - 1
    loss = np.bincount(document, weights=tokens.loss, minlength=len(sizes))
    count = np.bincount(document, minlength=len(sizes))
    return pd.DataFrame(
        {
            "tokens": count,
            "characters": sizes[:, 1],
            "bytes": sizes[:, 0],
            "nats_per_character": loss / np.maximum(sizes[:, 1], 1),
            "bits_per_byte": loss / np.maximum(sizes[:, 0], 1) / np.log(2),
            "perplexity": np.exp(np.minimum(loss / np.maximum(count, 1), 700.0)),
        }
    )


def per_passage(
    tokens: TokenLosses,
    starts: Int[np.ndarray, " m"],
    tokenizer: ByteTokenizer,
    ids: np.ndarray,
    sources: np.ndarray,
) -> pd.DataFrame:
    """A row for each COMPARED characters of a document: its id and source, the passage's place in it, its characters
    and their loss in nats. Models with other tokenizers have the same passages, but for the last token of each.
    """
    document = np.searchsorted(starts, tokens.place, side="right") - 1
    # All bytes of UTF-8 but those that continue a character.
    sizes = np.array([sum(byte & 0xC0 != 0x80 for byte in spelling) for spelling in tokenizer.token_bytes])
    size = sizes[tokens.token]
    before = np.cumsum(size) - size
    first = np.searchsorted(document, np.arange(len(ids)))
    place = before - before[np.minimum(first, len(before) - 1)][document]
    passages = np.maximum(np.bincount(document, weights=size, minlength=len(ids)).astype(int) // COMPARED, 1)
    passage = np.minimum(place // COMPARED, passages[document] - 1)  # what is left at the end joins the last one
    table = pd.DataFrame({"document": document, "passage": passage, "characters": size, "nats": tokens.loss})
    sums: Any = table.astype({"nats": np.float64}).groupby(["document", "passage"], as_index=False).sum()
    rows = sums.pop("document").to_numpy()
    sums.insert(0, "id", ids[rows])
    sums.insert(1, "source", sources[rows])
    return sums


def write_passages(tokens: TokenLosses, tokenizer: ByteTokenizer) -> None:
    """The passages of the test text with the highest and the lowest mean loss, each token coloured by its loss."""
    starts = np.arange(0, max(len(tokens.loss) - PASSAGE + 1, 1), PASSAGE)
    means = np.array([tokens.loss[start : start + PASSAGE].mean() for start in starts])
    order = np.argsort(-means, kind="stable")
    half = PASSAGES // 2
    shown = order if len(order) <= PASSAGES else np.concatenate([order[:half], order[-half:]])
    passages = [
        Passage(
            float(means[i]),
            list(tokenizer.decode(tokens.token[starts[i] : starts[i] + PASSAGE].tolist())),
            np.asarray(tokens.loss[starts[i] : starts[i] + PASSAGE], np.float64),
        )
        for i in shown
    ]
    html.write_passages(paths.EVALUATION / "passages.html", passages)


def token_names(tokenizer: ByteTokenizer) -> tuple[str, ...]:
    """What each token stands for, with quotes around blanks, and control characters escaped."""
    return tuple(_visible(spelling.decode(errors="replace")) for spelling in tokenizer.token_bytes)


def _visible(token: str) -> str:
    return repr(token)[1:-1] if token.strip() else repr(token)
