"""The networks, one file each, read top to bottom in one sitting.

A new model is one new file, its line here, and its settings in config/networks.py. Its file has `build`, which makes
the network for a task, and the module, which takes a batch of inputs and returns logits: one row an example, or, for
tagging, one a word. A language model also has what `LanguageModel` lists. The type of a parameter says what it is to
the optimizer: see layers/parameters.py.

Axes: b batch, h height, w width, c channels of the input, t time, l characters of a word, d width of a layer, f
filters, k classes, v vocabulary.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float, Int, Real

from pipeline.config.networks import NetworkSettings
from pipeline.examples.batch import Batch
from pipeline.examples.inputs import Inputs
from pipeline.models import cnn, gpt, linear, lstm, resnet, rnn, textcnn, transformer

Cache = dict[str, Array]


class Builder(Protocol):
    def __call__(self, config: Any, inputs: Any, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module: ...


class LanguageModel(Protocol):
    """`hidden` is for training, on whole texts; `decode` is for use, a few tokens at a time."""

    table: nnx.Param[Any]  # v d: unembeds the hidden states
    bounded: bool  # whether the cache has room for `context` tokens only

    def hidden(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t d"]: ...

    def init_cache(self, batch: int) -> Cache: ...

    def decode(self, cache: Cache, tokens: Int[Array, "b t"], /) -> tuple[Float[Array, "b t v"], Cache]: ...


@runtime_checkable
class GathersByLayer(Protocol):
    """A large network: devices that each keep a shard of its parameters gather one layer's at a time, with `gather`."""

    gather: Callable[[dict[str, Float[Array, "..."]]], dict[str, Float[Array, "..."]]] | None


@runtime_checkable
class HasFeatureMap(Protocol):
    """A network of images in two parts, of which it is made: its last feature map, and what reads that. Explanations
    then show which places of the map count.
    """

    def features(self, images: Real[Array, "b h w c"]) -> Float[Array, "b i j f"]: ...

    def classify(self, features: Float[Array, "b i j f"]) -> Float[Array, "b k"]: ...


@runtime_checkable
class FitsStatistics(Protocol):
    """A network that measures the training split before the first step. It sets variables that are no parameters, and
    nothing else; they are part of the state, and so of checkpoints, of the trained model and of the package.
    """

    def fit_statistics(self, batches: Iterable[Batch]) -> None: ...


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


def build(config: NetworkSettings, inputs: Inputs, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
    """The network that gives `outputs` numbers for each example, or each of its tokens. Raises UserError where its
    sizes do not fit the inputs.
    """
    return BUILDERS[config.name](config, inputs, outputs, rngs=rngs)
