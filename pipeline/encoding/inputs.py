"""Tables of raw inputs -> arrays, by the settings of their kind."""

from typing import Any

from pipeline.config.preprocessing import CorpusPreprocessing, ImagePreprocessing, TextPreprocessing, WordPreprocessing
from pipeline.encoding import images, texts, token_files, words
from pipeline.examples.inputs import Inputs

WRITERS = {
    ImagePreprocessing: images.write,
    TextPreprocessing: texts.write,
    WordPreprocessing: words.write,
    CorpusPreprocessing: token_files.write,
}


def write(settings: Any) -> tuple[Inputs, dict[str, Any], str]:
    """Writes the inputs of every split and what encodes new ones; returns what was learnt of them, figures for the
    report by split, and a summary.
    """
    return WRITERS[type(settings)](settings)
