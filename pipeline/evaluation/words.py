"""The tags of a test split, word by word. Axes: n words, m examples, which are sentences or parts of long ones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pipeline.config import paths
from pipeline.examples.batch import Examples


def table(
    split: str,
    test: Examples,
    sources: np.ndarray,
    labels: Sequence[str],
    guesses: Int[np.ndarray, " n"],
    confidence: Float[np.ndarray, " n"],
    baseline: Int[np.ndarray, " n"],
) -> pd.DataFrame:
    """A row a word, in the order of the split: its sentence's id and source, its place there, label, prediction and the
    prediction's probability, and whether training lacks the word: then its tag in `baseline` is -1.
    """
    names, sizes = np.array(labels), np.diff(np.asarray(test.starts))
    return pd.DataFrame(
        {
            "id": np.repeat(np.load(paths.features(split) / "ids.npy").astype(str), sizes),
            "source": np.repeat(sources, sizes),
            "place": np.concatenate([np.arange(size) for size in sizes]),
            "label": names[np.asarray(test.targets)],
            "prediction": names[guesses],
            "probability": confidence,
            "unseen": baseline < 0,
        }
    )
