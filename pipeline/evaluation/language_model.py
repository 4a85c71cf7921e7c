"""What a language model is worth on a held-out text: how much its tokens surprise it.

A loss in nats a token hangs on what a token is. Bits a byte and nats a character do not: by those, models of different
tokenizers are compared. Axes: n tokens, k vocabulary, m documents.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from pipeline.config import paths
from pipeline.evaluation import html, metrics, plots, token_losses
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.evaluation.token_losses import TokenLosses
from pipeline.loaders import token_store
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.tasks import LanguageModelling

CONFUSED = 20  # tokens in the picture
PASSAGE = 600  # tokens of a passage on the page
PASSAGES = 6
GROUP = 1_000  # tokens that are drawn together for the interval: neighbours are not independent


def evaluate(split: str, predictor: Predictor, tree: Tree, task: LanguageModelling, context: int) -> dict[str, Any]:
    """Writes the tables of one test split, and of the usual one the pictures; returns its figures."""
    text = token_store.load(paths.features(split))
    sizes = np.load(paths.features(split) / "sizes.npy")
    parts = list(token_losses.token_losses(predictor, tree["params"], tree["model_state"], text, context))
    found = TokenLosses(*(np.concatenate(columns) for columns in zip(*parts)))
    alphabet = ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), task.text)

    documents = by_document(found, text.starts, sizes)
    documents.insert(0, "id", np.load(paths.features(split) / "ids.npy").astype(str))
    documents.to_csv(paths.EVALUATION / f"per_document_{split}.csv", index=False, lineterminator="\n")
    pd.DataFrame(found._asdict()).to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
    result = figures(found, sizes, np.array(task.counts))
    if len(documents) <= 30:
        print(documents.to_string(index=False, float_format="{:.4f}".format))
    print(
        f"{split}: {result['nats_per_character']:.4f} nats a character, {result['bits_per_byte']:.4f} bits a byte, "
        f"perplexity {result['perplexity']:.3f} a token (the tokens' own frequency: "
        f"{result['baseline_nats_per_character']:.4f} nats a character)"
    )
    if split == "test":
        names = [_name(spelt.decode(errors="replace")) for spelt in alphabet.spelt]
        pictures(found, names)
        passages(found, alphabet)
    return result


def _name(letters: str) -> str:
    """A token as it can be seen."""
    return repr(letters)[1:-1] if letters.strip() else repr(letters)


def figures(found: TokenLosses, sizes: Int[np.ndarray, "m 2"], counts: Int[np.ndarray, " k"]) -> dict[str, Any]:
    """Loss in nats a token, perplexity, bits a byte, nats a character, accuracy with its 95 % interval. The baseline
    knows how often each token stands in the training text, plus one, and nothing else.
    """
    total = float(found.loss.sum(dtype=np.float64))
    bytes_, characters = sizes.sum(0).tolist()
    usual = -np.log((counts + 1) / (counts.sum() + len(counts)))
    hits = found.guess == found.token
    low, high = metrics.interval_of_groups(hits, np.append(np.arange(0, len(hits), GROUP), len(hits)))
    return {
        "tokens": len(found.token),
        "characters": characters,
        "bytes": bytes_,
        "loss": total / len(found.token),
        "perplexity": float(np.exp(min(total / len(found.token), 700.0))),
        "bits_per_byte": total / bytes_ / float(np.log(2)),
        "nats_per_character": total / characters,
        "baseline_nats_per_character": float(usual[found.token].sum()) / characters,
        "accuracy": float(hits.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "baseline_accuracy": float((found.token == int(counts[1:].argmax()) + 1).mean()),
    }


def by_document(found: TokenLosses, starts: Int[np.ndarray, " m"], sizes: Int[np.ndarray, "m 2"]) -> pd.DataFrame:
    """A row a document: its tokens, bytes and characters, and how it surprised the model."""
    which = np.searchsorted(starts, found.place, side="right") - 1
    loss = np.bincount(which, weights=found.loss, minlength=len(sizes))
    tokens = np.bincount(which, minlength=len(sizes))
    return pd.DataFrame(
        {
            "tokens": tokens,
            "characters": sizes[:, 1],
            "bytes": sizes[:, 0],
            "nats_per_character": loss / np.maximum(sizes[:, 1], 1),
            "bits_per_byte": loss / np.maximum(sizes[:, 0], 1) / np.log(2),
            "perplexity": np.exp(np.minimum(loss / np.maximum(tokens, 1), 700.0)),
        }
    )


def pictures(found: TokenLosses, names: list[str]) -> None:
    """The most confused tokens, and the calibration of the likeliest token's probability."""
    chosen = metrics.most_confused(found.token, found.guess, classes=len(names), shown=CONFUSED)
    shown = np.array(names)
    both = np.isin(found.token, chosen) & np.isin(found.guess, chosen) & (found.token != found.guess)
    paths.CONFUSION.parent.mkdir(exist_ok=True)
    pairs = pd.DataFrame({"actual": shown[found.token[both]], "predicted": shown[found.guess[both]]})
    pairs.to_csv(paths.CONFUSION, index=False, lineterminator="\n")
    at = np.full(len(names), -1)
    at[chosen] = np.arange(len(chosen))
    counts = np.zeros((len(chosen), len(chosen)), int)
    np.add.at(counts, (at[found.token[both]], at[found.guess[both]]), 1)
    plots.save(plots.confusion(counts, tuple(shown[chosen].tolist())), paths.IMAGES / "confusion.png")
    bins = metrics.calibration(found.confidence, found.guess == found.token)
    bins.to_csv(paths.CALIBRATION, index=False, lineterminator="\n")
    plots.save(plots.calibration(bins), paths.IMAGES / "calibration.png")


def passages(found: TokenLosses, alphabet: ByteTokenizer) -> None:
    """Passages of the test text, each token as red as it was a surprise: the ones that surprised most, and least."""
    cut = np.arange(0, max(len(found.loss) - PASSAGE + 1, 1), PASSAGE)
    means = np.array([found.loss[start : start + PASSAGE].mean() for start in cut])
    order = np.argsort(-means, kind="stable")
    half = PASSAGES // 2
    shown = order if len(order) <= PASSAGES else np.concatenate([order[:half], order[-half:]])
    parts = [
        html.Passage(
            float(means[i]),
            list(alphabet.letters(found.token[cut[i] : cut[i] + PASSAGE].tolist())),
            np.asarray(found.loss[cut[i] : cut[i] + PASSAGE], np.float64),
        )
        for i in shown
    ]
    html.write_passages(paths.EVALUATION / "passages.html", parts)
