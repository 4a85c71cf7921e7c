"""`python -m pipeline compare` with real DVC: revisions, experiments, the workspace, and what is wrong with them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from clone import run

from pipeline.commands.comparison import compare
from pipeline.runtime.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compare")]

Compare = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def runs(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small clone with two experiments of one epoch."""
    folder = Path(shutil.copytree(small, tmp_path_factory.mktemp("runs") / "copy", symlinks=True))
    for seed in (1, 2):
        change = f"-S seed={seed} -S models.cnn.training.epochs=1"
        run(f"dvc exp run --name seed-{seed} {change} evaluate", folder)
        run("git checkout -q . && dvc checkout -q", folder)
    return folder


@pytest.fixture
def compared(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    def call(*arguments: str, folder: Path = runs) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        with chdir(folder):
            code = compare.main()
        return code, capsys.readouterr().out

    return call


def test_two_runs(compared):
    code, text = compared("HEAD", "seed-1")
    assert code == 0
    assert "A  HEAD: fashion-mnist, cnn, seed 0\nB  seed-1: fashion-mnist, cnn, seed 1\n" in text
    assert "paired bootstrap of 200 examples; p: McNemar's exact test" in text
    assert "examples fixed" in text
    assert "data/raw/fashion-mnist/t10k-images-idx3-ubyte.gz: image" in text
    assert "another seed may turn it round" in text


def test_the_workspace_is_the_second_run(compared):
    code, text = compared("HEAD")
    assert code == 0
    assert "test: Both are right and wrong about the same examples of 200." in text


def test_several_seeds(compared):
    _, text = compared("HEAD,seed-1", "seed-2")
    assert "Student's t over 2 and 1 seeds and 200 examples" in text
    assert "another seed may" not in text


def test_as_json(compared, runs):
    code, text = compared("HEAD", "seed-1", "--json", "--shown", "2")
    found = json.loads(text)
    figures = found["test"]["metrics"]["accuracy"]
    assert code == 0
    assert figures["a"] == json.loads((runs / "metrics/evaluate.json").read_text())["test"]["accuracy"]
    assert figures["low"] <= figures["difference"] <= figures["high"]
    assert len(found["test"]["examples"]["fixed"]) <= 2
    assert found["b"] == [{"revision": "seed-1", "dataset": "fashion-mnist", "model": "cnn", "seed": 1}]


def test_as_markdown(compared):
    _, text = compared("HEAD", "seed-1", "--md")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0].split("|")[1].strip() == "metric"
    assert set(rows[1]) <= set("|-: ")


def test_a_gate_fails_where_all_of_the_interval_is_worse(compared):
    """One epoch in place of five, on 600 examples, is worse; but not by half."""
    code, text = compared("HEAD", "seed-1", "--fail-if-worse", "log_loss")
    assert (code, "fails: test log loss is worse by" in text) == (1, True)
    assert compared("HEAD", "seed-1", "--fail-if-worse", "accuracy:0.9")[0] == 0
    assert compared("seed-1", "HEAD", "--fail-if-worse", "test.accuracy", "--fail-if-worse", "log loss")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense: no git revision or experiment has this name"),
        (["HEAD", "--fail-if-worse", "beauty"], "no metric 'beauty'; the metrics: accuracy, macro_f1, log_loss"),
        (["HEAD", "--fail-if-worse", "accuracy:much"], "the margin is a number from 0 on"),
        (["HEAD,HEAD", "seed-1"], "HEAD,HEAD: a side has one or several different runs"),
        (["HEAD~1"], "HEAD~1: "),  # the clone's first commit, where nothing of this slice ran
    ],
)
def test_mistakes_are_one_line(compared, arguments, message):
    with pytest.raises(UserError, match=message.replace(",", ".").replace("'", ".")) as found:
        compared(*arguments)
    assert "\n" not in str(found.value)


def test_predictions_that_are_not_in_the_cache(compared, runs, tmp_path):
    folder = Path(shutil.copytree(runs, tmp_path / "copy", symlinks=True))
    shutil.rmtree(folder / ".dvc/cache/files")
    with pytest.raises(UserError, match=r"seed-1: evaluation/test.parquet is not in DVC's cache: `dvc pull"):
        compared("seed-1", folder=folder)


def test_a_workspace_that_is_not_up_to_date(compared, runs, tmp_path):
    """Settings that were changed since, and a file that a checkout left behind, are no result of this revision."""
    folder = Path(shutil.copytree(runs, tmp_path / "copy", symlinks=True))
    params = folder / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("\nseed: 0", "\nseed: 5"))
    with pytest.raises(
        UserError, match=r"workspace: train ran with another seed than params.yaml has: run `dvc repro`"
    ):
        compared("HEAD", folder=folder)
    params.write_text(before)
    table = folder / "evaluation/test.parquet"
    content = table.read_bytes()
    table.unlink()
    table.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"workspace: evaluation/test.parquet is not what dvc.lock records"):
        compared("HEAD", folder=folder)


def test_a_run_that_evaluate_has_not_seen(compared, runs, tmp_path):
    """One that failed after training, say."""
    folder = Path(shutil.copytree(runs, tmp_path / "copy", symlinks=True))
    lock = folder / "dvc.lock"
    text = lock.read_text()
    lock.write_text(text[: text.index("  evaluate:\n")])
    with pytest.raises(UserError, match="workspace: evaluate has not run there"):
        compared("HEAD", folder=folder)
    hashes = [
        line for line in text.split("\n  evaluate:\n")[0].split("- path: trained\n")[-1].split("\n") if "md5:" in line
    ]
    lock.write_text(text.replace(hashes[0], "      md5: 00000000000000000000000000000000.dir", 1))
    with pytest.raises(UserError, match="workspace: evaluate has not run on what train made"):
        compared("HEAD", folder=folder)


def test_another_task_is_refused(compared, runs, tmp_path):
    folder = Path(shutil.copytree(runs, tmp_path / "copy", symlinks=True))
    for name in ("params.yaml", "dvc.lock"):
        path = folder / name
        path.write_text(path.read_text().replace("name: classification", "name: regression"))
    with pytest.raises(UserError, match="HEAD does classification, workspace regression: they cannot be compared"):
        compared("HEAD", folder=folder)


def test_outside_a_repository(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "compare", "HEAD"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(compare.__file__).parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
