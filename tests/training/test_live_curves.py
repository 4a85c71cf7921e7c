"""Curves that can be watched while a model trains, and that no result comes from."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.training.live_curves import LiveCurves


def curves(folder: Path) -> LiveCurves:
    return LiveCurves(folder / "plots/live", folder / "logs/tensorboard", metric="accuracy")


def epoch(step: int, value: float) -> dict[str, Any]:
    names = ("train_loss", "train_metric", "validation_loss", "validation_metric")
    return {"step": step, "epoch": 1, **dict.fromkeys(names, value)}


def tables(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted((folder / "plots/live").glob("*.tsv"))}


def test_a_table_for_each_figure(tmp_path):
    live = curves(tmp_path)
    live.begin("a", 0, [])
    live.add({"step": 3, "begins": True})
    live.add({"step": 5, "train_loss": 0.75, "train_metric": 0.5})
    live.add(epoch(10, 0.25))
    assert tables(tmp_path) == {
        "train_accuracy": "step\ttrain_accuracy\n5\t0.5\n10\t0.25\n",
        "train_loss": "step\ttrain_loss\n5\t0.75\n10\t0.25\n",
        "validation_accuracy": "step\tvalidation_accuracy\n10\t0.25\n",
        "validation_loss": "step\tvalidation_loss\n10\t0.25\n",
    }
    live.end()
    assert not tables(tmp_path)


def test_a_run_that_resumes_continues_them(tmp_path):
    """From its checkpoint on: later rows are those of steps that are taken again."""
    live = curves(tmp_path)
    live.begin("a", 0, [])
    for step in (5, 10, 15, 20):
        live.add({"step": step, "train_loss": step / 10})
    again = curves(tmp_path)
    again.begin("a", 12, [])
    again.add({"step": 15, "train_loss": 7.0})
    assert tables(tmp_path)["train_loss"] == "step\ttrain_loss\n5\t0.5\n10\t1\n15\t7\n"


def test_a_run_whose_tables_are_lost_has_its_epochs(tmp_path):
    curves(tmp_path).begin("a", 20, [epoch(10, 0.5), epoch(20, 0.25)])
    assert tables(tmp_path)["validation_loss"] == "step\tvalidation_loss\n10\t0.5\n20\t0.25\n"


def test_another_run_begins_anew(tmp_path):
    live = curves(tmp_path)
    live.begin("a", 0, [])
    live.add(epoch(10, 0.5))
    (tmp_path / "plots/live/nothing.tsv").write_text("step\tnothing\n")  # as git has it
    curves(tmp_path).begin("b", 0, [])
    assert tables(tmp_path) == {"nothing": "step\tnothing\n"}


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "plots").write_text("a file")
    live = curves(tmp_path)
    live.begin("a", 0, [])
    live.add(epoch(10, 0.5))
    live.end()


def test_tensorboard_gets_them_where_it_is_installed(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in with the parts of the package tensorboard that are used."""
    events: list[Any] = []
    writer = SimpleNamespace(add_event=events.append, flush=lambda: None)
    message = SimpleNamespace
    summary: Any = type("Summary", (SimpleNamespace,), {"Value": message})
    for name, content in {
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": lambda folder, flush_secs: writer},
        "tensorboard.compat.proto.event_pb2": {"Event": message},
        "tensorboard.compat.proto.summary_pb2": {"Summary": summary},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    live = curves(tmp_path)
    live.begin("a", 0, [])
    live.add({"step": 5, "train_loss": 0.75, "train_metric": 0.5})
    assert [(event.step, event.summary.value[0].tag, event.summary.value[0].simple_value) for event in events] == [
        (5, "train/loss", 0.75),
        (5, "train/accuracy", 0.5),
    ]
