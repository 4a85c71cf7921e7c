"""Which outputs are explained, and as what: a probability as log odds, since near 1 it hardly changes."""

import numpy as np
from jaxtyping import Float

from ..tasks import Answers

LEAST, LEAST_ALONE = 1e-15, 2.0**-25  # probabilities below count as these; also what is missing to 1


def explained(task: Answers, outputs: Float[np.ndarray, " k"], of: int | None) -> list[int]:
    """The outputs that the answer rests on: the predicted label or labels, or the likeliest where none is predicted;
    all numbers of a regression. `of` stands in their place.
    """
    if of is not None:
        return [of]
    if not task.ranks:
        return list(range(len(outputs)))
    answer = task.answer(outputs)
    predicted = answer["labels"] if "labels" in answer else [answer["label"]]
    return [list(task.labels).index(label) for label in predicted] or [int(outputs.argmax())]


def scores(task: Answers, outputs: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Probabilities as log odds, numbers as they are."""
    values = np.asarray(outputs, np.float64)
    if not task.ranks:
        return values
    # The probabilities of the other labels are more exact than what a number of 32 bits near 1 says of the rest.
    rest, least = (values.sum(-1, keepdims=True) - values, LEAST) if task.exclusive else (1 - values, LEAST_ALONE)
    return np.log(np.maximum(values, least)) - np.log(np.maximum(rest, least))


def title(task: Answers, outputs: Float[np.ndarray, " k"], output: int) -> str:
    """An output with its value."""
    value = f"{outputs[output]:.4f}" if task.ranks else f"{outputs[output]:.6g}"
    return f"{task.labels[output]} {value}"
