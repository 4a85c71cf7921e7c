"""Each network as an ONNX graph gives what the network gives, for all the tasks that it can do."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import small_tasks
from flax import nnx
from networks import config

from pipeline.config.preprocessing import WordPreprocessing
from pipeline.evaluation.predictor import Predictor, variables
from pipeline.examples.inputs import Sentences
from pipeline.examples.task import Task
from pipeline.models import build
from pipeline.packaging.onnx import export
from pipeline.packaging.onnx.graph import IR_VERSION, OPSET
from pipeline.tasks.multi_label_classification import MultiLabelClassification
from pipeline.tasks.regression import Regression

TOLERANCE = 1e-5
CLASSES = tuple("abcde")


def kinds(inputs: Any, first: Task) -> list[Any]:
    """A task of each kind that has these inputs and five outputs."""
    calibrated = first.model_copy(update={"temperature": 0.4})
    if inputs.per_token:
        return [first, calibrated]
    several = MultiLabelClassification(inputs=inputs, labels=CLASSES, counts=(1,) * 5, examples=9, temperature=2.5)
    numbers = Regression(inputs=inputs, targets=CLASSES, mean=(0.5, -2, 3, 0, 9), std=(1, 2, 0.5, 1, 3))
    return [first, calibrated, several, numbers]


def short_words(length: int) -> Any:
    """Sentences whose words are cut to fewer characters than the longest affix has."""
    settings = WordPreprocessing(vocabulary=50, lowercase=False, max_length=20, word_length=length)
    return small_tasks.tagging().model_copy(update={"inputs": Sentences(settings=settings, vocabulary=52, alphabet=30)})


CASES: dict[str, tuple[Any, dict[str, Any], Task]] = {
    "cnn": ("cnn", {}, small_tasks.images()),
    "cnn of odd colours": ("cnn", {"kernel": 4}, small_tasks.images(9, 16, "rgb")),
    "resnet": ("resnet", {}, small_tasks.images()),
    "resnet of odd colours": ("resnet", {"widths": (4, 8, 12)}, small_tasks.images(9, 17, "rgb")),
    "linear": ("linear", {"ngrams": 3, "buckets": 50}, small_tasks.texts()),  # so few that many n-grams share one
    "textcnn": ("textcnn", {"kernels": (1, 2, 5)}, small_tasks.texts()),
    "lstm": ("lstm", {"layers": 2}, small_tasks.texts()),
    "gru": ("lstm", {"cell": "gru", "layers": 2}, small_tasks.texts()),
    "transformer": ("transformer", {}, small_tasks.texts()),
    "lstm of words": ("lstm", {"hidden": 12, "width": 15}, small_tasks.tagging()),
    "gru of words": ("lstm", {"cell": "gru"}, small_tasks.tagging()),
    "transformer of words": ("transformer", {}, small_tasks.tagging()),
    "words of 2 characters": ("lstm", {}, short_words(2)),
    "words of 3 characters": ("transformer", {}, short_words(3)),
}


def trained(name: str, changes: dict[str, Any], task: Any) -> tuple[Predictor, dict[str, Any]]:
    """A network whose arrays are all random: also biases, running averages, measured frequencies."""
    settings = config(name, **changes)
    # To compile what initialises a network would take longer than all else here.
    model = nnx.eval_shape(lambda: build(settings, task.inputs, task.outputs, rngs=nnx.Rngs(0)))
    random = np.random.default_rng(1)

    def drawn(path: Any, x: jax.ShapeDtypeStruct) -> jax.Array:
        if jax.tree_util.keystr(path).endswith(("['var']", "['idf']")):
            return jnp.asarray(random.uniform(0.2, 2, x.shape), x.dtype)
        scale = max(np.prod(x.shape[:-1]) ** -0.5, 0.1) if len(x.shape) > 1 else 0.5
        return jnp.asarray(random.normal(0, scale, x.shape), x.dtype)

    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    return Predictor(task, nnx.graphdef(model)), jax.tree_util.tree_map_with_path(drawn, tree)


def batches(inputs: Any) -> Iterator[list[np.ndarray]]:
    """One example and many, short and long ones, some of them without any token."""
    random = np.random.default_rng(2)
    for b, t in ((1, 1), (6, 300)):
        arrays = []
        lengths = np.maximum(random.integers(-2, t + 1, b), 0)
        lengths[0] = t
        for x in inputs.signature(b, t).values():
            if x.dtype == np.uint8:
                arrays.append(random.integers(0, 256, x.shape).astype(x.dtype))
                continue
            array = random.integers(1, 30, x.shape).astype(x.dtype)
            if array.ndim == 3:  # characters, padded on the left
                blank = random.integers(0, x.shape[2] + 1, (b, t, 1))
                array[np.broadcast_to(np.arange(x.shape[2]) < blank, x.shape)] = 0
            array[np.arange(t)[None] >= lengths[:, None]] = 0
            arrays.append(array)
        yield arrays


def run(session: Any, arrays: list[np.ndarray]) -> np.ndarray:
    (output,) = session.run(None, dict(zip((node.name for node in session.get_inputs()), arrays, strict=True)))
    return output


def session_of(case: str) -> Any:
    name, changes, task = CASES[case]
    content = task.export_onnx(*trained(name, changes, task), config(name, **changes))
    return onnxruntime.InferenceSession(content)


@pytest.mark.parametrize("case", CASES)
def test_it_gives_what_the_network_gives(case):
    name, changes, first = CASES[case]
    inputs: Any = first.inputs
    predictor, tree = trained(name, changes, first)

    @jax.jit
    def logits(*given: jax.Array) -> jax.Array:
        model: Any = predictor.model(tree["params"], tree["model_state"])
        return model(inputs.model_inputs(*given))

    given = list(batches(inputs))
    expected = [logits(*arrays) for arrays in given]
    for task in kinds(inputs, first):
        content = task.export_onnx(Predictor(task, predictor.graphdef), tree, config(name, **changes))
        session = onnxruntime.InferenceSession(content)
        assert [node.name for node in session.get_inputs()] == list(inputs.signature(1, 1))
        assert [node.name for node in session.get_outputs()] == [task.output_name]
        for arrays, of in zip(given, expected, strict=True):
            wanted = np.asarray(task.predictions(of))
            assert wanted.std() > 0.01  # not all of one value, whatever the inputs
            np.testing.assert_allclose(run(session, arrays), wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_graph_is_tried():
    tried = {name for name, _, _ in CASES.values()}
    assert tried == set(export.GRAPHS)


def test_it_is_of_one_opset_and_equal_weights_give_equal_bytes():
    name, changes, task = CASES["lstm"]
    one, other = (task.export_onnx(*trained(name, changes, task), config(name, **changes)) for _ in range(2))
    assert one == other
    model = onnx.load_from_string(one)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    shapes = [[axis.dim_param or axis.dim_value for axis in x.type.tensor_type.shape.dim] for x in model.graph.input]
    assert shapes == [["b", "t"]]


@pytest.mark.parametrize("case", ["linear", "textcnn", "gru", "transformer"])
def test_padding_is_no_token(case):
    """To the right of a text it changes nothing, as in JAX."""
    session, tokens = session_of(case), np.array([[3, 4, 5]], np.int32)
    short, long = (run(session, [np.pad(tokens, ((0, 0), (0, more)))]) for more in (0, 9))
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_far_positions_are_turned_by_the_angles_that_jax_computes():
    name, changes, task = CASES["transformer"]
    predictor, tree = trained(name, changes, task)
    tokens = np.random.default_rng(0).integers(1, 50, (1, 2_000)).astype(np.int32)
    model: Any = predictor.model(tree["params"], tree["model_state"])
    wanted = jax.nn.softmax(nnx.jit(model)(jnp.asarray(tokens)))
    np.testing.assert_allclose(run(session_of("transformer"), [tokens]), wanted, atol=TOLERANCE)


def test_a_network_without_a_graph_says_so():
    name, changes, task = CASES["cnn"]
    unknown: Any = config("cnn").model_copy(update={"name": "mlp"})
    with pytest.raises(export.NoGraph, match="has no graph of the network mlp"):
        task.export_onnx(*trained(name, changes, task), unknown)


def test_weights_that_no_file_holds(monkeypatch):
    name, changes, task = CASES["cnn"]
    monkeypatch.setattr(export, "LARGEST", 1_000)
    with pytest.raises(export.NoGraph, match=r"its weights have 0\.0 GB, and a file of ONNX holds 2"):
        task.export_onnx(*trained(name, changes, task), config(name, **changes))
