"""Examples of a test split, each explained: what in it spoke for an output of the network.

The report and the page of mistakes show them.
"""

from collections.abc import Sequence

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.explanations.explainable import Explainable, Explained
from pipeline.evaluation.explanations.of_corpus import Corpus
from pipeline.evaluation.explanations.of_images import Images
from pipeline.evaluation.explanations.of_sentences import Sentences
from pipeline.evaluation.explanations.of_texts import Texts
from pipeline.evaluation.predictor import Predictor, Tree

KINDS = {"images": Images, "texts": Texts, "sentences": Sentences, "corpus": Corpus}  # by the task's kind of input


def explainable(predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> Explainable:
    """The examples of a split. Of a language model, evaluation/SPLIT.parquet must be there."""
    return KINDS[predictor.task.inputs.kind](predictor, tree, network, split)


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
    if not len(rows):
        return []
    kind = explainable(predictor, tree, network, split)
    return kind.show(rows, kind.attribute(rows, outputs))
