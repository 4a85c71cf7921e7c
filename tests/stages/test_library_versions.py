"""A library that is installed in another version than versions.yaml has: one line on stderr, before the stage runs."""

from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.runtime.errors import UserError
from pipeline.stages import library_versions

DVC = """
stages:
  train:
    params:
      - seed
      - versions.yaml:
          - numpy
          - jax
  prepare:
    params:
      - versions.yaml:
          - numpy
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(DVC)


def test_equal_versions_say_nothing(capsys):
    Path("versions.yaml").write_text(f'numpy: "0.1 or {version("numpy")}"\njax: "{version("jax")}"\n')
    library_versions.warn("train")
    assert not capsys.readouterr().err


def test_another_version_is_named_in_the_stages_that_depend_on_it(capsys):
    Path("versions.yaml").write_text(f'numpy: "{version("numpy")}"\njax: "0.1.2"\n')
    library_versions.warn("prepare")
    assert not capsys.readouterr().err
    library_versions.warn("train")
    assert capsys.readouterr().err == (
        f"note: jax {version('jax')} is installed, versions.yaml has 0.1.2: results may differ, and DVC does not know\n"
    )


def test_without_the_file_the_cure_is_named():
    with pytest.raises(UserError, match=r"versions.yaml: no such file: `git checkout versions.yaml`"):
        library_versions.warn("train")


def test_a_library_that_is_not_installed_is_left_to_its_import(capsys):
    Path("versions.yaml").write_text(f'numpy: "{version("numpy")}"\njax: "{version("jax")}"\nabacus: "1"\n')
    library_versions.warn("train")
    assert not capsys.readouterr().err
    assert library_versions.installed() == {"numpy": version("numpy"), "jax": version("jax")}
