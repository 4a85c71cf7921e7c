"""Texts with coloured parts as HTML: pieces for any page, and a page of them for the browser: it draws every script."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
body {{ overflow-wrap: anywhere }}
h2 {{ font-size: 1.05em; margin: 1.6em 0 0.2em }}
h2 b, td b {{ unicode-bidi: isolate }}
code {{ opacity: 0.75 }}
figure {{ margin: 0.6em 0; border-left: 3px solid #8888; padding-left: 1em }}
img {{ max-width: 100% }}
.pre {{ white-space: pre-wrap }}
</style>
<h1>{title}</h1>
<p>{legend}</p>
"""
LEAST, OPACITY = 0.05, 0.6  # of the largest weight: a weaker part has no colour; of the strongest colour
RED, BLUE = "214,30,30", "30,90,214"
NAMED = 3  # parts that are named to those who see no colours


class Explained(NamedTuple):
    answer: str
    truth: str  # "" where it is not known
    source: str  # the file and row that it was read from
    body: str  # HTML: what was explained, in colour


def head(title: str, legend: str) -> str:
    return HEAD.format(title=html.escape(title), legend=html.escape(legend))


def section(one: Explained) -> str:
    answer, truth, source = map(html.escape, (one.answer, one.truth, one.source))
    where = f"\n<code>{source}</code>" if source else ""
    return f"<h2><b>{answer}</b>{f' ({truth})' if truth else ''}</h2>{where}\n{one.body}\n"


def text(pieces: Sequence[str], weights: Float[np.ndarray, " n"], marked: int | None = None) -> str:
    """A text in a `figure`. Positive weights are red, negative ones blue, the largest in full colour; the piece that is
    `marked` is the one whose answer it is. What counts most is also said in words.
    """
    parts = (piece(one, share, is_marked=i == marked) for i, (one, share) in enumerate(zip(pieces, shares(weights))))
    said = html.escape(summary(pieces, weights), quote=True)
    style = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow-y:auto;margin:0"
    return f'<figure role="group" aria-label="{said}"><p tabindex="0" style="{style}">{"".join(parts)}</p></figure>'


def summary(pieces: Sequence[str], weights: Float[np.ndarray, " n"]) -> str:
    """The parts that count most, for and against."""
    said = []
    for sign, how in ((1, "for"), (-1, "against")):
        order: list[int] = [
            i for i in np.argsort(-sign * weights, kind="stable")[:NAMED].tolist() if sign * weights[i] > 0
        ]
        named = [" ".join(pieces[i].split())[:40] for i in order]
        if named := [name for name in named if name]:
            said.append(f"{how} it: {', '.join(named)}")
    return "Most " + "; most ".join(said) if said else "No part counts"


def shares(weights: Float[np.ndarray, " n"]) -> list[float]:
    """Each weight as a share of the largest: -1 to 1."""
    return (weights / (float(np.abs(weights).max(initial=0)) or 1.0)).tolist()


def piece(text: str, weight: float, *, is_marked: bool = False) -> str:
    """A part of a text, coloured by its weight of -1 to 1; a marked one has a line around it."""
    styles = []
    if abs(weight) >= LEAST:
        styles.append(f"background:rgba({RED if weight > 0 else BLUE},{abs(weight) * OPACITY:.2f})")
    if is_marked:
        styles.append("outline:2px solid")
    text = html.escape(text)
    return f'<span style="{";".join(styles)}">{text}</span>' if styles else text
