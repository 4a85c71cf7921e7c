"""The role of a parameter comes from its type, whatever its name; those of the shipped networks are as listed here."""

import jax.numpy as jnp
import pytest
import small_tasks
from corpora import CONFIGS as LANGUAGE_MODELS
from corpora import TASK as LANGUAGE
from flax import nnx
from networks import SETTINGS, config

from pipeline import models
from pipeline.layers.embedding import Embed
from pipeline.layers.parameters import Vectors, roles

VECTOR = None, False
VECTORS = None, True
MATRIX = ((0,), (1,)), True
FILTERS = ((0, 1, 2), (3,)), True
STACK = ((1,), (2,)), True

DENSE = {"kernel": MATRIX, "bias": VECTOR}
NORM = {"scale": VECTOR, "bias": VECTOR}
LSTM = {"kernel": MATRIX, "recurrent": MATRIX, "bias": VECTOR}
EXPECTED = {  # by the last parts of the name: the axes of the matrix, and whether it decays
    "cnn": {"head": DENSE, "kernel": FILTERS, "bias": VECTOR},
    "resnet": {"norm": NORM, "norm1": NORM, "norm2": NORM, "kernel": FILTERS, "head": DENSE},
    "linear": {"table": VECTORS, "bias": VECTOR},
    "textcnn": {"table": VECTORS, "kernel": MATRIX, "bias": VECTOR},
    "lstm": {"table": VECTORS, **LSTM},
    "gru": {"table": VECTORS, **LSTM, "recurrent_bias": VECTOR},
    "transformer": {"table": VECTORS, "norm": NORM, "norm1": NORM, "norm2": NORM, **DENSE},
    "gpt": {"table": VECTORS, "qkv": STACK, "out": STACK, "up": (((1,), (2, 3)), True), "down": STACK},
    "rnn lstm": {"table": VECTORS, **LSTM},
    "rnn linear": {"table": VECTORS, "taps": VECTORS, "decay": VECTOR, **dict.fromkeys(
        ("enter", "gates", "leave", "up", "down"), MATRIX
    )},
}  # fmt: skip


def network(name: str) -> nnx.Module:
    """Its shapes alone."""
    return nnx.eval_shape(lambda: built(name))


def built(name: str) -> nnx.Module:
    if name == "gpt" or name.startswith("rnn "):
        return models.build(
            LANGUAGE_MODELS[name.removeprefix("rnn ")](), LANGUAGE.inputs, LANGUAGE.outputs, rngs=nnx.Rngs(0)
        )
    settings = config("lstm", cell="gru") if name == "gru" else config(name)
    task = small_tasks.TASKS[settings.inputs[-1]]()
    return models.build(settings, task.inputs, task.outputs, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_shipped_networks(name):
    assert set(SETTINGS) <= set(EXPECTED)
    for parameter, role in roles(network(name)).items():
        parent, own = parameter.split(".")[-2:] if "." in parameter else ("", parameter)
        expected = EXPECTED[name].get(parent) or EXPECTED[name]
        assert (role.matrix, role.decays) == expected[own], parameter


def test_devices_share_the_layers_of_gpt_alone():
    axes = {name: role.tensor_axis for name, role in roles(network("gpt")).items()}
    assert axes == {"table": -2, "qkv": -1, "out": -2, "up": -1, "down": -2}
    for name in EXPECTED.keys() - {"gpt"}:
        assert not any(role.tensor_axis for role in roles(network(name)).values())


class Own(nnx.Module):
    """A user's network, with names that other networks use for something else."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.table = nnx.Param(jnp.ones((3, 4)))
        self.kernel = Embed(5, 2, rngs=rngs)
        self.rows = Vectors(jnp.ones((3, 4)))
        self.library = nnx.Embed(5, 2, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)


def test_names_mean_nothing():
    own = roles(Own(nnx.Rngs(0)))
    assert own["table"][:2] == MATRIX
    assert own["kernel.table"][:2] == own["rows"][:2] == own["library.embedding"][:2] == VECTORS
    assert own["attention.query.bias"][1]  # two axes: the library's bias of each head decays, as a matrix does
