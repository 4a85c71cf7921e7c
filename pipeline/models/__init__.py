"""The networks, one file each, read top to bottom in one sitting. A new model is one new file and one line here.

Its file has a Config (the keys under `models.NAME.network`, the tasks it can do, and `build`) and the module, which
takes a batch of inputs and returns logits: one row an example, or, for tagging, one a word. Axes: b batch, h height,
w width, c channels of the input, t time, l characters of a word, d width of a layer, f filters, k classes.
"""

from typing import Any, Protocol, runtime_checkable

from flax import nnx

from pipeline.models import cnn, gpt, linear, lstm, resnet, rnn, textcnn, transformer


@runtime_checkable
class Config(Protocol):
    """What each model's Config offers: the network for a task."""

    def build(self, task: Any, *, rngs: nnx.Rngs) -> nnx.Module: ...


CONFIGS = {
    "cnn": cnn.Config,
    "gpt": gpt.Config,
    "linear": linear.Config,
    "lstm": lstm.Config,
    "resnet": resnet.Config,
    "rnn": rnn.Config,
    "textcnn": textcnn.Config,
    "transformer": transformer.Config,
}
