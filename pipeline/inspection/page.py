"""Examples as a page for the browser, all in one file: images, texts or tagged sentences, with label and split."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.explanations.html import picture
from pipeline.readers.example import Example
from pipeline.runtime.explanations import page as pages

CHARACTERS = 1_500  # of a text
FIGURE = "display:inline-block;vertical-align:top;margin:0 1em 1em 0;text-align:center"


class Group(NamedTuple):
    """Examples under one heading."""

    title: str
    examples: Sequence[tuple[str, Example]]  # with the label as text


def write(path: Path, title: str, legend: str, groups: Sequence[Group]) -> None:
    page = pages.head(title, legend)
    for group in groups:
        page += f"<h2>{html.escape(group.title)}</h2>\n{''.join(_example(*one) for one in group.examples)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")


def _example(label: str, example: Example) -> str:
    content, heading = example.content, f"<b>{html.escape(label)}</b>" if label else ""
    source = f'title="{html.escape(example.where)}"'  # shown under the pointer
    if isinstance(content, bytes):
        return f'<figure style="{FIGURE}" {source}>{picture(content)}<figcaption>{heading}</figcaption></figure>\n'
    if isinstance(content, tuple):
        pairs = zip(content, example.label if isinstance(example.label, tuple) else ("",) * len(content))
        words = " ".join(f"{html.escape(word)}<sub>{html.escape(tag)}</sub>" for word, tag in pairs)
        return f"<p {source}>{words}</p>\n"
    more = "..." if len(content) > CHARACTERS else ""
    return f'<p class="pre" {source}>{heading} {html.escape(content[:CHARACTERS])}{more}</p>\n'
