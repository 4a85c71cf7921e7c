"""Packages that earlier versions wrote are read as they are, and can be made anew with today's code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imports import TOP
from safetensors.numpy import load_file, save_file

from pipeline.commands.packages import repackage
from pipeline.packaging.selftest import comparison
from pipeline.runtime import package
from pipeline.runtime.errors import UserError
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.trust import manifest


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True)


def samples(folder: Path) -> list[dict]:
    return json.loads((folder / "sample/expected.json").read_text())["samples"]


def answers(folder: Path) -> list[dict]:
    predictor = Predictor(folder)
    raw = [(folder / "sample" / one["file"]).read_bytes() if "file" in one else one["text"] for one in samples(folder)]
    return predictor.answers([predictor.encode(content, "a sample") for content in raw])


def remade(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", ["repackage", str(folder), "--out", str(out)])
    monkeypatch.chdir(TOP)
    repackage.main()
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_of_format_4_is_asked(old):
    files = [old / "sample" / sample["file"] for sample in samples(old)]
    done = run("predict", old, *files, "--json")
    assert done.returncode == 0, done.stderr
    given = [json.loads(line) for line in done.stdout.splitlines()]
    for answer, sample in zip(given, samples(old), strict=True):
        assert answer["label"] == sample["answer"]["label"]
        assert answer["probabilities"] == pytest.approx(sample["answer"]["probabilities"], abs=1e-5)


def test_one_of_format_4_is_made_anew(old, tmp_path, monkeypatch, capsys):
    before = contents(old)
    new = remade(old, tmp_path / "new", monkeypatch)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{new}: answers as {old} does: on random inputs to ")
    assert printed.endswith(", on its samples\n")
    assert contents(old) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert manifest.read(new)["format"] == manifest.FORMAT
    for name in (
        "labels.json",
        "image.json",
        "metrics.json",
        "model.safetensors",
        "sample/expected.json",
        "sample/0.png",
    ):
        assert (new / name).read_bytes() == before[name], name
    assert (new / "runtime/predictor.py").read_bytes() == (TOP / "pipeline/runtime/predictor.py").read_bytes()
    assert comparison.close(answers(new), answers(old))  # another engine may round otherwise
    first, now = (json.loads((folder / "provenance.json").read_text()) for folder in (old, new))
    assert {name: now[name] for name in ("dataset", "data", "train", "evaluate")}.items() <= first.items()
    assert now["earlier_packages"] == [first["package"]]
    assert now["package"]["from"]["format"] == 4
    assert "## Made anew" in (new / "README.md").read_text()
    # The same again, from either, gives the same bytes but for what it was made from.
    again, twice = remade(old, tmp_path / "again", monkeypatch), remade(new, tmp_path / "twice", monkeypatch)
    assert contents(again) == contents(new)
    changed = {name for name, content in contents(twice).items() if content != contents(new)[name]}
    assert changed == {"provenance.json", "manifest.json"}
    assert len(json.loads((twice / "provenance.json").read_text())["earlier_packages"]) == 2


def test_the_scale_of_numbers_is_found_and_kept(old_numbers, tmp_path, monkeypatch):
    new = remade(old_numbers, tmp_path / "new", monkeypatch)
    for one, other in zip(answers(new), answers(old_numbers), strict=True):
        assert one["values"] == pytest.approx(other["values"], rel=1e-6)
    assert json.loads((new / "config.json").read_text())["targets"]["mean"] == pytest.approx([30.9375, 79.375])
    damage_function(new)
    remade(new, tmp_path / "twice", monkeypatch)  # from now on without the function
    damage_function(old_numbers)
    with pytest.raises(UserError, match="the model cannot be loaded"):
        remade(old_numbers, tmp_path / "never", monkeypatch)


def test_a_language_model_of_format_4(old_writer, tmp_path, monkeypatch, capsys):
    from small_packages import shrink

    asked = ("--prompt", "aaa", "--seed", "1", "--tokens", "20")
    before = run("predict", old_writer, *asked)
    assert before.returncode == 0, before.stderr
    shrink(monkeypatch)
    new = remade(old_writer, tmp_path / "new", monkeypatch)
    assert ": on random inputs to " in capsys.readouterr().out
    after = run("predict", new, *asked)
    assert (after.returncode, after.stdout) == (0, before.stdout)


def damage_function(folder: Path) -> None:
    """As a JAX sees it that is too new to read it."""
    number = manifest.read(folder)["format"]
    reseal(folder, "model.jaxexp", b"of another format")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"format": number}))


def test_without_its_function_the_samples_decide(old, tmp_path, monkeypatch, capsys):
    damage_function(old)
    new = remade(old, tmp_path / "new", monkeypatch)
    assert "not on random inputs, since the old function cannot be run here" in capsys.readouterr().out
    assert answers(new)[0]["label"] == samples(old)[0]["answer"]["label"]


def reseal(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    manifest.seal(folder)


def test_other_answers_are_refused(old, tmp_path, monkeypatch):
    def refused(why: str) -> None:
        with pytest.raises(UserError, match=why):
            remade(old, tmp_path / "new", monkeypatch)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "old"]

    kept = contents(Path(shutil.copytree(old, tmp_path / "kept")))
    config = json.loads(kept["config.json"])
    reseal(old, "config.json", json.dumps(config | {"mean": [0.1]}).encode())
    refused(r"today's code gives other answers, up to .* off: nothing is written")
    reseal(old, "config.json", kept["config.json"])
    weights = load_file(old / "model.safetensors")
    save_file({name: array * np.float32(1.5) for name, array in weights.items()}, old / "model.safetensors")
    manifest.seal(old)
    refused("today's code gives other answers: nothing is written: .*sample")
    save_file({name: array[..., :1] for name, array in weights.items()}, old / "model.safetensors")
    manifest.seal(old)
    refused("model.safetensors: .* has the shape")
    reseal(old, "model.safetensors", kept["model.safetensors"])
    reseal(old, "labels.json", b'{"labels": ["one"]}')
    refused("config.json: does not fit labels.json")
    reseal(old, "labels.json", kept["labels.json"])
    for changes, why in (
        ({"network": {"name": "perceptron"}}, "network.name: must be one of"),
        ({"network": None}, "network: "),
        ({"input_kind": "sounds"}, "inputs.kind: must be one of"),
        ({"mean": "none"}, "inputs.mean: "),
        ({"preprocessing": {"height": "4"}}, "inputs.settings.height: must be"),
    ):
        reseal(old, "config.json", json.dumps(config | changes).encode())
        refused(f"config.json: {why}")


def test_a_new_folder_is_new(old, tmp_path, monkeypatch):
    (tmp_path / "taken").symlink_to("nowhere")
    with pytest.raises(UserError, match="taken: is there already: remove it, or name another folder with --out"):
        remade(old, tmp_path / "taken", monkeypatch)
    (old / "labels.json").write_text("{}")
    with pytest.raises(UserError, match=r"labels\.json is damaged"):
        remade(old, tmp_path / "new", monkeypatch)


def test_a_key_can_be_required_of_the_old_one(old):
    done = run("repackage", old, "--require-key", "none.pem")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {old}: no signature: ")
    assert package.open_package(old)


@pytest.mark.slow
@pytest.mark.xdist_group("packages")
def test_every_task_s_package_is_made_anew(four_packages, tmp_path, monkeypatch, capsys):
    from small_packages import shrink

    shrink(monkeypatch)
    for folder in four_packages:
        new = remade(folder, tmp_path / folder.parent.name, monkeypatch)
        assert ": on random inputs to " in capsys.readouterr().out
        ours, theirs = contents(new), contents(folder)
        assert ours.keys() == theirs.keys()
        same = {name for name, content in ours.items() if content == theirs[name]}
        assert ours.keys() - same == {"README.md", "manifest.json", "provenance.json"}
