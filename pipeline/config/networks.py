"""The settings of each network, `models.NAME.network` in params.yaml, as a typed union. What they build is in models/.

They stand apart from the networks so that params.yaml can be checked before anything loads Flax.
"""

from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from pydantic import Field, PositiveInt

from pipeline.config.section import Section

Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]


class NetworkConfig(Section):
    inputs: ClassVar[tuple[str, ...]]  # the kinds of inputs that the network reads: see examples/inputs.py

    @property
    def tensor_parallel(self) -> dict[str, int]:
        """What several devices can share of a layer (`mesh.tensor`), and how many there are of each."""
        return {}


class CNNConfig(NetworkConfig):
    inputs: ClassVar = ("images",)

    name: Literal["cnn"] = "cnn"
    filters: PositiveInt = 32
    kernel: PositiveInt = 3  # height and width of a filter, in pixels


class ResNetConfig(NetworkConfig):
    inputs: ClassVar = ("images",)

    name: Literal["resnet"] = "resnet"
    widths: Widths = (16, 48, 96)  # channels of each stage
    blocks: PositiveInt = 1  # residual blocks per stage; the first block of each later stage halves the image


class LinearConfig(NetworkConfig):
    inputs: ClassVar = ("texts",)

    name: Literal["linear"] = "linear"
    ngrams: PositiveInt = 2  # longest n-gram, in tokens
    buckets: Annotated[int, Field(ge=16)] = 1048576  # rows of the table that n-grams are hashed into


class TextCNNConfig(NetworkConfig):
    inputs: ClassVar = ("texts",)

    name: Literal["textcnn"] = "textcnn"
    width: PositiveInt = 64  # of a token's vector
    filters: PositiveInt = 64  # of each kernel
    kernels: Widths = (3, 4, 5)  # in tokens
    dropout: Share = 0.2


class LSTMConfig(NetworkConfig):
    inputs: ClassVar = ("texts", "sentences")

    name: Literal["lstm"] = "lstm"
    cell: Literal["lstm", "gru"] = "lstm"
    width: PositiveInt = 128  # of a token's vector
    hidden: PositiveInt = 96  # of each direction's state
    layers: PositiveInt = 1
    dropout: Share = 0.5
    token_dropout: Share = 0.2  # of tokens that training replaces by the unknown token


class TransformerConfig(NetworkConfig):
    inputs: ClassVar = ("texts", "sentences")

    name: Literal["transformer"] = "transformer"
    width: PositiveInt = 128
    heads: PositiveInt = 4
    layers: PositiveInt = 2
    dropout: Share = 0.1
    token_dropout: Share = 0.1  # of tokens that training replaces by the unknown token


class GPTSize(NamedTuple):
    layers: int
    width: int
    heads: int  # query heads
    kv_heads: int  # key/value heads, each shared by heads / kv_heads query heads
    inner: int  # width inside the multilayer perceptron

    @property
    def head_width(self) -> int:
        return self.width // self.heads


GPT_SIZES = {
    "nano": GPTSize(4, 256, 4, 2, 704),
    "124m": GPTSize(12, 768, 12, 12, 2048),
    "350m": GPTSize(24, 1024, 16, 16, 2736),
    "1.3b": GPTSize(24, 2048, 16, 4, 6400),
}


class GPTConfig(NetworkConfig):
    inputs: ClassVar = ("corpus",)

    name: Literal["gpt"] = "gpt"
    variant: Literal["nano", "124m", "350m", "1.3b"] = "nano"
    context: Annotated[int, Field(ge=2)] = 256  # tokens that it sees at once
    dropout: Share = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products; weights, sums and the loss stay float32
    remat: Literal["none", "dots", "full"] = "none"  # what the backward pass recomputes to save memory

    @property
    def size(self) -> GPTSize:
        return GPT_SIZES[self.variant]

    @property
    def tensor_parallel(self) -> dict[str, int]:
        return {"key/value heads": self.size.kv_heads, "inner features": self.size.inner}


class RNNSize(NamedTuple):
    layers: int
    width: int


RNN_SIZES = {
    ("linear", "nano"): RNNSize(4, 256),
    ("linear", "124m"): RNNSize(13, 768),
    ("lstm", "nano"): RNNSize(2, 448),
    ("lstm", "124m"): RNNSize(9, 1024),
}


class RNNConfig(NetworkConfig):
    inputs: ClassVar = ("corpus",)

    name: Literal["rnn"] = "rnn"
    cell: Literal["linear", "lstm"] = "linear"
    variant: Literal["nano", "124m"] = "nano"
    context: Annotated[int, Field(ge=2)] = 256  # tokens of a training window, which starts from a state of zeros
    dropout: Share = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products, but an lstm's; the rest stays float32

    @property
    def size(self) -> RNNSize:
        return RNN_SIZES[self.cell, self.variant]


LanguageModelConfig: TypeAlias = GPTConfig | RNNConfig
NetworkSettings: TypeAlias = (
    CNNConfig | ResNetConfig | LinearConfig | TextCNNConfig | LSTMConfig | TransformerConfig | LanguageModelConfig
)
Network: TypeAlias = Annotated[NetworkSettings, Field(discriminator="name")]
NETWORKS: dict[str, type[NetworkSettings]] = {
    config.model_fields["name"].default: config for config in get_args(NetworkSettings)
}
