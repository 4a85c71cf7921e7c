"""Examples of a test split, each explained: what in it spoke for an output of the network."""

from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.explanations.explainable import Explainable
from pipeline.evaluation.explanations.of_corpus import Corpus
from pipeline.evaluation.explanations.of_images import Images
from pipeline.evaluation.explanations.of_sentences import Sentences
from pipeline.evaluation.explanations.of_texts import Texts
from pipeline.evaluation.predictor import Predictor, Tree

KINDS = {"images": Images, "texts": Texts, "sentences": Sentences, "corpus": Corpus}  # by the task's kind of input


def explainable(predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> Explainable:
    """The examples of a split. Of a language model, evaluation/SPLIT.parquet must be there."""
    return KINDS[predictor.task.inputs.kind](predictor, tree, network, split)
