"""On Ray: a run of which parts are killed ends at the bytes that it has without Ray; tokens are as on one machine."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import clone
import compiled
import psutil
import pytest
from repro import RESUMED, command_of
from ruamel.yaml import YAML
from small_packages import dump
from two_processes import LAUNCH, checkpoints, forget, ranks, set_training, train, weights

from pipeline.runtime.hashes import sha256

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]  # for the clone

ON_RAY = "python -m pipeline on-ray --workers 2"


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    return clone.make(tmp_path_factory.mktemp("ray") / "clone")


def wait_for(what: Callable[[], bool], run: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 600
    while not what():
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_parts_are_killed(ready, tmp_path):
    """A process that trains, and then one of Ray's own: Ray starts all anew, and nothing is lost but the time."""
    set_training(ready, epochs=40, mesh="{data: 2}")
    clone.run("dvc repro preprocess", ready)
    train(ready, LAUNCH=LAUNCH)
    straight = weights(ready)
    forget(ready)
    log = tmp_path / "log.txt"
    environment = clone.environment(LAUNCH=ON_RAY, CHECKPOINT_SECONDS="0", **compiled.apart(tmp_path / "compiled"))
    with (
        log.open("wb") as file,
        subprocess.Popen(["dvc", "repro", "-s", "train"], cwd=ready, env=environment, stdout=file, stderr=file) as run,
    ):
        try:
            wait_for(lambda: bool(checkpoints(ready)) and len(ranks(ready)) == 2, run, log)
            first = {process.pid for process in ranks(ready).values()}
            ranks(ready)[1].kill()
            wait_for(lambda: len(ranks(ready)) == 2 and not first & {p.pid for p in ranks(ready).values()}, run, log)
            before = checkpoints(ready)[-1:]
            wait_for(lambda: checkpoints(ready)[-1:] > before, run, log)  # they have met, and train
            worker = psutil.Process(ranks(ready)[0].ppid())
            assert "RayTrainWorker" in " ".join(command_of(worker))
            worker.kill()
            assert run.wait(timeout=600) == 0, log.read_text()
        finally:
            run.terminate()
    assert RESUMED in log.read_text()
    assert weights(ready) == straight

    set_training(ready, epochs=40)  # a mistake: it is told once, and not tried again
    said = train(ready, code=255, LAUNCH=ON_RAY)
    assert said.count("error: process 0 of 2: training.mesh: 2 processes need one") == 1


def test_tokens_are_those_of_one_machine(ready):
    content = YAML(typ="safe").load((ready / "params.yaml").read_text())
    mails = content["datasets"]["shakespeare"] | {
        "data": {"source": "data/raw/spam/mails.csv.gz", "format": "table", "text": "text", "label": "label"},
        "preprocessing": {"tokenizer": "bpe", "vocabulary": 1_000, "normalisation": "nfc"},
    }
    dump(content | {"dataset": "mails", "model": "gpt", "datasets": {"mails": mails}}, ready / "params.yaml")
    clone.run("python -m pipeline prepare", ready)
    found = []
    for where in ("", "ray"):
        clone.run("python -m pipeline preprocess", ready, TOKENIZE_ON=where)
        files = sorted(path for path in (ready / "data/features").rglob("*") if path.is_file())
        found.append({path.relative_to(ready): sha256(path) for path in files})
    assert found[0] == found[1]
    said = clone.run("python -m pipeline preprocess", ready, code=1, TOKENIZE_ON="rya")
    assert "error: TOKENIZE_ON: must be ray or nothing, not 'rya'" in said
