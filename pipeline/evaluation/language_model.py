"""The evaluation of a language model on one test split: tables, metrics, plots, passages.

A loss in nats a token depends on what a token is. Bits a byte and nats a character do not: by those, models with
different tokenizers are compared. Axes: n tokens, k vocabulary, d documents.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from pipeline.config import paths
from pipeline.evaluation import html, metrics, plots, token_losses
from pipeline.evaluation.html import Passage
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.evaluation.token_losses import TokenLosses
from pipeline.loaders import token_store
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.tasks import LanguageModelling

PASSAGE = 600  # tokens of a passage on the page
PASSAGES = 6
PRINTED = 30  # documents in the printed table, at most


def evaluate(split: str, predictor: Predictor, tree: Tree, task: LanguageModelling, context: int) -> dict[str, Any]:
    """Writes the split's tables and, of the main test split, the plots and the passages; returns its metrics."""
    folder = paths.features(split)
    text, sizes = token_store.load(folder), np.load(folder / "sizes.npy")
    batches = list(token_losses.token_losses(predictor, tree["params"], tree["model_state"], text, context))
    tokens = TokenLosses(*(np.concatenate(columns) for columns in zip(*batches)))
    pd.DataFrame(tokens._asdict()).to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
    documents = per_document(tokens, text.starts, sizes)
    documents.insert(0, "id", np.load(folder / "ids.npy").astype(str))
    documents.to_csv(paths.EVALUATION / f"per_document_{split}.csv", index=False, lineterminator="\n")
    results = metrics.language_modelling(tokens.loss, tokens.token, tokens.guess, sizes, np.array(task.counts))
    if len(documents) <= PRINTED:
        print(documents.to_string(index=False, float_format="{:.4f}".format))
    print(
        f"{split}: {results['nats_per_character']:.4f} nats a character, {results['bits_per_byte']:.4f} bits a byte, "
        f"perplexity {results['perplexity']:.3f} a token (by the tokens' frequency alone: "
        f"{results['baseline_nats_per_character']:.4f} nats a character)"
    )
    if split == "test":
        tokenizer = ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), task.text.spec)
        names = tuple(_visible(spelling.decode(errors="replace")) for spelling in tokenizer.token_bytes)
        plots.write_confusion(tokens.token, tokens.guess, names, errors_only=True)
        plots.write_calibration(tokens.confidence, tokens.guess == tokens.token)
        write_passages(tokens, tokenizer)
    return results


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


def _visible(token: str) -> str:
    """A token's letters, with quotes around blanks, and control characters escaped."""
    return repr(token)[1:-1] if token.strip() else repr(token)
