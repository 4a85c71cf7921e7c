"""Texts with coloured parts as a page for the browser, which can draw every script."""

import html
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

HEAD = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.7 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
p {{ overflow-wrap: anywhere; border-left: 3px solid #ddd; padding-left: 1em }}
b {{ font-weight: 600; unicode-bidi: isolate }}
span {{ border-radius: 3px }}
.pre {{ white-space: pre-wrap }}
</style>
<h1>{title}</h1>
<p>{legend}</p>
"""


class Explained(NamedTuple):
    answer: str
    truth: str  # "" where it is not known
    source: str  # the file and row that it was read from
    pieces: list[str]  # the text, in parts
    weights: Float[np.ndarray, " _"]  # of each part, for the answer (positive) or against it


def head(title: str, legend: str) -> str:
    return HEAD.format(title=html.escape(title), legend=html.escape(legend))


def section(one: Explained) -> str:
    """Positive weights are red, negative ones blue; the largest has the full colour."""
    text = "".join(piece(part, weight) for part, weight in zip(one.pieces, shares(one.weights)))
    return f'{heading(one.answer, one.truth, one.source)}<p class="pre">{text}</p>\n'


def shares(weights: Float[np.ndarray, " n"]) -> list[float]:
    """Each weight as a share of the largest: -1 to 1."""
    return (weights / (float(np.abs(weights).max(initial=0)) or 1.0)).tolist()


def heading(answer: str, truth: str, source: str) -> str:
    answer, truth, source = map(html.escape, (answer, truth, source))
    return f"<h3><b>{answer}</b>{f' ({truth})' if truth else ''}</h3>\n<code>{source}</code>\n"


def piece(text: str, weight: float) -> str:
    """A part of a text, coloured by its weight of -1 to 1."""
    opacity = abs(weight) * 0.75
    colour = "220,40,40" if weight > 0 else "40,80,220"
    text = html.escape(text)
    return f'<span style="background:rgba({colour},{opacity:.2f})">{text}</span>' if opacity >= 0.05 else text
