"""Texts that a model has read, as a page for the browser, which has the letters of every script."""

import html
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float

HEAD = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body { font: 15px/1.7 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
p { overflow-wrap: anywhere; border-left: 3px solid #ddd; padding-left: 1em }
b { font-weight: 600 }
span { border-radius: 3px }
.as-it-is { white-space: pre-wrap }
</style>
"""


class Mistake(NamedTuple):
    prediction: str
    probability: float
    label: str
    pieces: list[str]  # the text, cut up
    weights: Float[np.ndarray, " t"]  # what each piece did for the prediction, or which one it is about


def write_mistakes(path: Path, mistakes: list[Mistake], *, explained: bool) -> None:
    """Red spoke for the prediction, blue against it; or, not explained, red is the word in question."""
    legend = (
        "red: the prediction is less likely without it; blue: more likely" if explained else "red: the word in question"
    )
    parts = [
        HEAD.replace("{title}", "Mistakes"),
        f"<h1>The mistakes that the model was surest of</h1>\n<p>{legend}</p>\n",
    ]
    for mistake in mistakes:
        reach = float(np.abs(mistake.weights).max(initial=0)) or 1.0
        title = f"<b>{html.escape(mistake.prediction)}</b> {mistake.probability:.3f}, is {html.escape(mistake.label)}"
        text = "".join(_piece(piece, weight / reach) for piece, weight in zip(mistake.pieces, mistake.weights))
        parts.append(f"<h3>{title}</h3>\n<p>{text}</p>\n")
    path.write_text("".join(parts), encoding="utf-8", newline="\n")


class Passage(NamedTuple):
    mean: float  # of the losses
    pieces: list[str]
    losses: Float[np.ndarray, " t"]  # in nats, of each piece


FULL = 8.0  # nats: a surprise that is drawn in full colour, one chance in 3,000


def write_passages(path: Path, passages: list[Passage]) -> None:
    """The redder a piece, the less the model expected it."""
    parts = [HEAD.replace("{title}", "Passages"), "<h1>What surprised the model most, and least</h1>\n"]
    parts.append(f"<p>The redder, the less likely it was held to be: full red is {FULL:g} nats and more.</p>\n")
    for passage in passages:
        pieces = (_piece(piece, min(loss / FULL, 1.0)) for piece, loss in zip(passage.pieces, passage.losses.tolist()))
        parts.append(f'<h3>{passage.mean:.3f} nats a token</h3>\n<p class="as-it-is">{"".join(pieces)}</p>\n')
    path.write_text("".join(parts), encoding="utf-8", newline="\n")


def _piece(piece: str, weight: float) -> str:
    shade = abs(weight) * 0.75
    colour = "220,40,40" if weight > 0 else "40,80,220"
    text = html.escape(piece)
    return f'<span style="background:rgba({colour},{shade:.2f})">{text}</span>' if shade >= 0.05 else text


def sentences(table: Path, longest: int) -> list[list[str]]:
    """The sentences of a split as preprocess cut them."""
    rows = pq.read_table(table, columns=["words"])["words"].to_pylist()
    return [row[start : start + longest] for row in rows for start in range(0, len(row), longest)]
