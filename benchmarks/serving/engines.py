"""Times a package in use: the engines onnx and jax, ONNX Runtime by itself, and a cold start.

    python -m benchmarks.serving.engines [--package package] [--rounds 3]

In each round all take many short turns, and the fastest run counts, since other load on the machine comes and goes.

1. A package of images, one image and 256 at once, against a session of ONNX Runtime with its own settings: batches that
   are arrays already (`run`), and arrays of single images (`outputs`).
2. A process that answers one image and ends, against one that only loads numpy and ONNX Runtime and opens the model.
3. onnx against jax for each network of params.yaml, one example and 64, texts of 200 tokens and sentences of 25 words.
   The weights are random.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
from flax import nnx

from benchmarks.alone import run
from benchmarks.row import Options, OtherWork, Row, Turn, in_turns, of_rounds
from benchmarks.stages import clone
from pipeline.config import preprocessing
from pipeline.config.networks import CNNConfig, LinearConfig, LSTMConfig, ResNetConfig, TextCNNConfig, TransformerConfig
from pipeline.evaluation.predictor import Predictor as Network
from pipeline.evaluation.predictor import variables
from pipeline.examples.inputs import Images, Sentences, Texts
from pipeline.models import build, weights
from pipeline.runtime import engines
from pipeline.runtime.predictor import Predictor
from pipeline.tasks.classification import Classification
from pipeline.tasks.sequence_tagging import SequenceTagging

TURN, ROUND = 0.005, 0.5  # seconds, at least
MORE = 5  # times as many rounds as benchmarks that take longer
TOKENS, WORDS, VOCABULARY = 200, 25, 8_000
BARE = "import numpy, onnxruntime; onnxruntime.InferenceSession('model.onnx')"

Timers = dict[str, Callable[[], object]]


def best(call: Callable[[], object]) -> float:
    """The seconds of the fastest call in a turn."""
    times: list[float] = []
    while not times or sum(times) < TURN:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(what: str, timers: Timers, peer: str, rounds: int, *, same: str = "") -> Row:
    """All timers but `peer` are ours."""
    for call in timers.values():
        call()  # loads, compiles
    found = []
    for _ in range(rounds):
        turns, end = [], time.perf_counter() + ROUND
        while not turns or time.perf_counter() < end:
            turns.append({name: best(call) for name, call in timers.items()})
        found.append({name: Turn(1e3 * min(times[name] for times in turns)) for name in timers})
    return of_rounds(what, "ms", found, [peer], same=same)


def in_use(package: Path, rounds: int) -> Iterator[Row]:
    predictor, session = Predictor(package, "onnx"), onnxruntime.InferenceSession(package / engines.MODEL)
    (given,) = session.get_inputs()
    images = np.random.default_rng(0).integers(0, 256, (256, *given.shape[1:])).astype(np.uint8)
    for count in (1, 256):
        some = images[:count]
        bare = partial(session.run, None, {given.name: some})
        for name, call in (
            ("an array", partial(predictor.run, [some])),
            ("arrays of single images", partial(predictor.outputs, [(image,) for image in some])),
        ):
            timers: Timers = {"": call, "ONNX Runtime alone": bare}
            what = f"prediction of {count} {'image' if count == 1 else 'images'} by the package, {name}"
            yield compare(what, timers, "ONNX Runtime alone", rounds, same=agree(predictor.run([some]), bare()))


def agree(ours: Any, theirs: Any) -> str:
    """How far the probabilities lie apart. Raises OtherWork where they differ."""
    apart = float(np.abs(np.asarray(ours).reshape(-1) - np.asarray(theirs).reshape(-1)).max())
    if apart > 1e-5:
        raise OtherWork(f"the package's probabilities differ from ONNX Runtime's by {apart:.2g}")
    return f"probabilities equal to {apart:.0e}" if apart else "equal probabilities"


def by_network(rounds: int) -> Iterator[Row]:
    labels, ten = tuple("abcdefghij"), (1,) * 10
    image = preprocessing.ImagePreprocessing.model_validate({"height": 28, "width": 28, "colour": "grey"})
    images = Classification(inputs=Images(settings=image, mean=(0.3,), std=(0.3,)), labels=labels, counts=ten)
    text = Texts(settings=preprocessing.TextPreprocessing(), vocabulary=VOCABULARY)
    texts = Classification(inputs=text, labels=labels, counts=ten)
    words = Sentences(settings=preprocessing.WordPreprocessing(), vocabulary=VOCABULARY, alphabet=80)
    tags = SequenceTagging(inputs=words, labels=labels, counts=ten, scheme=None)
    for name, task, network in (
        ("cnn", images, CNNConfig()),
        ("resnet", images, ResNetConfig()),
        ("linear", texts, LinearConfig()),
        ("textcnn", texts, TextCNNConfig()),
        ("lstm", texts, LSTMConfig()),
        ("gru", texts, LSTMConfig(cell="gru")),
        ("transformer", texts, TransformerConfig()),
        ("lstm of words", tags, LSTMConfig()),
        ("transformer of words", tags, TransformerConfig()),
    ):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), task, network)
            both = {engine: engines.load(Path(folder), engine) for engine in ("onnx", "jax")}
        for count in (1, 64):
            arrays = examples(task.inputs, count)
            timers: Timers = {name: partial(engine.run, arrays) for name, engine in both.items()}
            yield compare(f"{name}, {count}", timers, "jax", rounds)


def write(folder: Path, task: Any, network: Any) -> None:
    """What the engines load of a package, with random weights."""
    model = nnx.eval_shape(lambda: build(network, task.inputs, task.outputs, rngs=nnx.Rngs(0)))
    random = np.random.default_rng(0)
    abstract = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    tree = jax.tree.map(lambda x: random.uniform(0.01, 0.1, x.shape).astype(x.dtype), abstract)
    network_of = Network(task, nnx.graphdef(model))
    (folder / "model.jaxexp").write_bytes(task.export(network_of, tree, network))
    (folder / engines.MODEL).write_bytes(task.export_onnx(network_of, tree, network))
    weights.write(folder / "model.safetensors", tree)


def examples(inputs: Any, count: int) -> list[np.ndarray]:
    length = WORDS if inputs.per_token else TOKENS
    random = np.random.default_rng(0)
    return [random.integers(1, 80, x.shape).astype(x.dtype) for x in inputs.signature(count, length).values()]


def cold(package: Path, rounds: int) -> Iterator[Row]:
    sample = next((package / "sample").glob("*.[pjw]*g")).relative_to(package)
    start = partial(subprocess.run, check=True, capture_output=True)
    bare = partial(timed, partial(start, [sys.executable, "-B", "-c", BARE], cwd=package))
    for command in (["pipeline", "predict", str(package), str(package / sample)], ["runtime", "predict", ".", sample]):
        here = Path() if command[0] == "pipeline" else package
        mine = partial(timed, partial(start, [sys.executable, "-B", "-m", *command], cwd=here))
        yield in_turns(
            f"a cold process that answers one image, python -m {command[0]} predict",
            "s",
            {"": mine},
            {"only loading ONNX Runtime and the model": bare},
            rounds=rounds,
        )


def timed(call: Callable[[], object]) -> Turn:
    began = time.perf_counter()
    call()
    return Turn(time.perf_counter() - began)


def rows(options: Options) -> Iterator[Row]:
    package, rounds = clone.package(options), options.rounds if options.quick else MORE * options.rounds
    yield from in_use(package, rounds)
    yield from cold(package, rounds)


def every(options: Options) -> Iterator[Row]:
    yield from rows(options)
    yield from by_network(options.rounds)


if __name__ == "__main__":
    run(every, __doc__)
