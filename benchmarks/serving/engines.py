"""Times a package in use: the engines onnx and jax, ONNX Runtime by itself, and a cold start.

    python -m benchmarks.serving.engines [--package package] [--rounds 15]

Ratios are above 1 where the first is faster. In each round all take many short turns, and the fastest run counts, since
other load on the machine comes and goes. It prints medians over the rounds, with the least and the largest ratio.

1. A package of images, one image and 256 at once, against a session of ONNX Runtime with its own settings: batches that
   are arrays already (`run`), and arrays of single images (`outputs`).
2. onnx against jax for each network of params.yaml, one example and 64, texts of 200 tokens and sentences of 25 words.
   The weights are random.
3. A process that answers one image and ends, by either engine, against one that only loads numpy and ONNX Runtime.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
from flax import nnx

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
TOKENS, WORDS, VOCABULARY = 200, 25, 8_000
ANSWER = """
import sys
sys.path.insert(0, ".")
from pathlib import Path
from runtime.predictor import Predictor
predictor = Predictor(Path("."), sys.argv[1])
print(predictor.answers([predictor.encode(Path(sys.argv[2]).read_bytes(), sys.argv[2])]))
"""
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


def compare(what: str, timers: Timers, rounds: int) -> None:
    """The last of the timers against each of the others."""
    for call in timers.values():
        call()  # loads, compiles
    found = []
    for _ in range(rounds):
        turns, end = [], time.perf_counter() + ROUND
        while not turns or time.perf_counter() < end:
            turns.append({name: best(call) for name, call in timers.items()})
        found.append({name: min(times[name] for times in turns) for name in timers})
    *others, last = timers
    print(f"{what}: {last} {1e3 * statistics.median(times[last] for times in found):.3g} ms", flush=True)
    for name in others:
        ratios = [times[last] / times[name] for times in found]
        middle = 1e3 * statistics.median(times[name] for times in found)
        spread = f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"    {name} {middle:.3g} ms, {spread}", flush=True)


def in_use(package: Path, rounds: int) -> None:
    predictor, session = Predictor(package, "onnx"), onnxruntime.InferenceSession(package / engines.MODEL)
    (given,) = session.get_inputs()
    images = np.random.default_rng(0).integers(0, 256, (256, *given.shape[1:])).astype(np.uint8)
    for count in (1, 256):
        some = images[:count]
        timers = {
            "run": partial(predictor.run, [some]),
            "outputs": partial(predictor.outputs, [(image,) for image in some]),
            "ONNX Runtime by itself": partial(session.run, None, {given.name: some}),
        }
        compare(f"{count} images at once", timers, rounds)


def by_network(rounds: int) -> None:
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
            compare(f"{name}, {count}", {n: partial(engine.run, arrays) for n, engine in both.items()}, rounds)


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


def cold(package: Path, rounds: int) -> None:
    sample = next((package / "sample").glob("*.[pjw]*g")).relative_to(package)
    commands = {name: [ANSWER, name, str(sample)] for name in ("onnx", "jax")} | {"numpy and ONNX Runtime": [BARE]}
    run = partial(subprocess.run, cwd=package, check=True, capture_output=True)
    timers: Timers = {name: partial(run, [sys.executable, "-B", "-c", *rest]) for name, rest in commands.items()}
    compare("a cold process", timers, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path("package"), help="a package of images")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    in_use(arguments.package, arguments.rounds)
    cold(arguments.package, arguments.rounds)
    by_network(arguments.rounds)


if __name__ == "__main__":
    main()
