"""The networks, one file each, read top to bottom in one sitting.

A new model is one new file, its line here, and its settings in config/networks.py. Its file has `build`, which makes
the network for a task, and the module, which takes a batch of inputs and returns logits: one row an example, or, for
tagging, one a word. Axes: b batch, h height, w width, c channels of the input, t time, l characters of a word, d width
of a layer, f filters, k classes.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float

from pipeline.config.networks import NetworkSettings
from pipeline.models import cnn, gpt, linear, lstm, resnet, rnn, textcnn, transformer


class Builder(Protocol):
    def __call__(self, config: Any, task: Any, *, rngs: nnx.Rngs) -> nnx.Module: ...


@runtime_checkable
class GathersByLayer(Protocol):
    """A large network: devices that each keep a shard of its parameters gather one layer's at a time, with `gather`."""

    gather: Callable[[dict[str, Float[Array, "..."]]], dict[str, Float[Array, "..."]]] | None


BUILDERS: dict[str, Builder] = {
    "cnn": cnn.build,
    "gpt": gpt.build,
    "linear": linear.build,
    "lstm": lstm.build,
    "resnet": resnet.build,
    "rnn": rnn.build,
    "textcnn": textcnn.build,
    "transformer": transformer.build,
}


def build(config: NetworkSettings, task: Any, *, rngs: nnx.Rngs) -> nnx.Module:
    """The network for a task that `config` can do. Raises UserError where its sizes do not fit the task."""
    return BUILDERS[config.name](config, task, rngs=rngs)
