"""A signal ends a process in one line, wherever it arrives: real processes, and real signals."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from imports import TOP

from pipeline.runtime import errors

pytestmark = pytest.mark.slow
STOPPED = "stopped: run the same command again\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, timeout=60)


def interrupted(code: str, *, after: dict[str, float]) -> subprocess.CompletedProcess[str]:
    """Runs the code, which prints these lines, and sends it SIGINT so many seconds after each."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line, seconds in after.items():
            assert process.stdout.readline() == f"{line}\n"
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_while_libraries_load(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    command = [sys.executable, "-m", "pipeline", "train"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as stage:
        while stage.poll() is None and not any("numpy" in at.path for at in psutil.Process(stage.pid).memory_maps()):
            time.sleep(0.01)
        stage.send_signal(signal.SIGINT)
        assert stage.communicate()[1] == STOPPED
    assert stage.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arranges",
    [
        "gc.callbacks.append(lambda phase, info: stops())",
        "weakref.finalize(made, stops)",
        "made.__class__.__del__ = lambda made: stops()",
    ],
)
def test_where_python_ignores_exceptions(arranges, number):
    ended = run(f"""
import gc, os, signal, time, weakref
from pipeline.runtime import errors

class Made: pass

def stops():
    if not sent:
        sent.append(True)
        os.kill(os.getpid(), {number:d})
        time.sleep(0)  # the handler runs here

def main():
    made = Made()
    {arranges}
    made = None
    gc.collect()
    time.sleep(10)

sent = []
errors.run(main)
""")
    assert (ended.stderr, ended.returncode) == (STOPPED, 128 + number)


def test_in_a_librarys_code():
    """Python calls no handler while a tokenizer is trained."""
    ended = interrupted(
        """
import itertools
from tokenizers import Tokenizer, models, trainers
from pipeline.runtime import errors

def main():
    texts = ("a b c" if i else print("begins", flush=True) or "a" for i in itertools.count())
    Tokenizer(models.BPE()).train_from_iterator(texts, trainers.BpeTrainer(show_progress=False))

errors.run(main)
""",
        after={"begins": 0},
    )
    assert (ended.stderr, ended.returncode) == (STOPPED, 130)


def test_a_second_ctrl_c_in_what_saves_first():
    """The first is noticed, and left to the library's code; neither is the second."""
    ended = interrupted(
        """
import itertools
from tokenizers import Tokenizer, models, trainers
from pipeline.runtime import errors
from pipeline.training.signals import DeferredSignals

def main():
    with DeferredSignals() as signals:
        print("begins", flush=True)
        while not signals.received:
            pass
        print("saves", flush=True)
        texts = ("a" for _ in itertools.count())
        Tokenizer(models.BPE()).train_from_iterator(texts, trainers.BpeTrainer(show_progress=False))

errors.run(main)
""",
        after={"begins": 0, "saves": errors.GRACE + 1},
    )
    assert (ended.stderr, ended.returncode) == (STOPPED, 130)


def test_a_forked_childs_signal_is_its_own():
    ended = run("""
import os, signal, time
from pipeline.runtime import errors

def main():
    child = os.fork()
    if not child:
        time.sleep(60)
    time.sleep(0.5)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    time.sleep(errors.GRACE + 1)
    print("goes on")

errors.run(main)
""")
    assert (ended.stdout, ended.returncode) == ("goes on\n", 0)
