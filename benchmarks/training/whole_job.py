"""From the raw files to a tested model: `dvc repro` of all five stages in a fresh clone, and a plain script in Keras.

    python -m benchmarks.training.whole_job [--rounds 3] [--peers .venv-benchmarks]

The seconds of both from start to end. The script reads the same files, trains the same network for as many epochs with
the same batch, validates on a tenth, tests on the 10,000 images and saves the model. The stages also write tables, a
report with explanations, and a package that is checked on every test image.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.alone import run
from benchmarks.row import Options, Row, Turn, answer, in_turns
from benchmarks.stages import clone
from pipeline.config import params

KERAS = Path(__file__).parent / "peers/keras_job.py"
WITHIN = {"parameters": 0.0, "accuracy": 0.03}


def ours(*, quick: bool) -> Turn:
    if quick:
        return clone.finished(quick=True).turn  # others need that clone too
    with tempfile.TemporaryDirectory() as folder:
        return clone.cold(Path(folder) / "clone", quick=quick)


def keras(python: Path, *, quick: bool) -> Turn:
    settings = params.look_up(params.read(), "models.cnn.training")
    epochs = 1 if quick else settings["epochs"]
    with tempfile.TemporaryDirectory() as folder:
        data, out = clone.TOP / "data/raw/fashion-mnist", Path(folder) / "model.keras"
        began = time.perf_counter()
        facts = answer(python, KERAS, data, str(settings["batch_size"]), str(epochs), out).facts
        return Turn(time.perf_counter() - began, facts)


def rows(options: Options) -> Iterator[Row]:
    peers, quick = options.peers, options.quick
    yield in_turns(
        "the whole job, from raw files to a tested cnn",
        "s",
        {"": lambda: ours(quick=quick)},
        {"a script in Keras": lambda: keras(peers, quick=quick)} if peers else {},
        rounds=options.rounds,
        within=WITHIN,
    )


if __name__ == "__main__":
    run(rows, __doc__)
