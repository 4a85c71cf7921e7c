"""logs/train.jsonl: a line for each event, and one of progress every few seconds."""

import json
import time

from pipeline.training.training_log import TrainingLog


def test_progress_is_written_now_and_then(tmp_path, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = tmp_path / "logs/train.jsonl"
    with TrainingLog(path, context={"run": "a"}) as log:
        log.write({"step": 0})
        log.progress({"step": 1})
        now += 11
        log.progress({"step": 2})
        log.progress({"step": 3})
        log.write({"step": 4})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4]
    assert all(line["run"] == "a" and line["time"] for line in lines)


def test_a_process_that_does_not_write_has_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with TrainingLog(None, context={}) as log:
        log.write({"step": 0})
    assert not list(tmp_path.iterdir())
