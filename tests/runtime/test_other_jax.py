"""A package that the JAX here cannot read says which one made it."""

import json
from pathlib import Path

import jax
import pytest

from pipeline.runtime import package
from pipeline.runtime.errors import UserError

BOTH = rf"JAX 0\.1\.0 made it, and {jax.__version__} is here: pip install jax==0\.1\.0"


@pytest.fixture
def made_by(tmp_path):
    """Writes a package whose function is damaged, of the given version of JAX."""

    def _made_by(version: str) -> Path:
        (tmp_path / "provenance.json").write_text(json.dumps({"package": {"versions": {"jax": version}}}))
        (tmp_path / "model.jaxexp").write_bytes(b"of another format")
        return tmp_path

    return _made_by


def fails(error: Exception):
    def call(*inputs: object) -> None:
        raise error

    return call


def test_one_that_another_jax_made_names_both(made_by):
    with pytest.raises(UserError, match=rf"the model cannot be loaded \(.*\): {BOTH}"):
        package.load_function(made_by("0.1.0"))
    with pytest.raises(UserError, match=rf"the model cannot be run \(ValueError: no such operation\): {BOTH}"):
        package.run(made_by("0.1.0"), fails(ValueError("no such operation")))()
    with pytest.raises(MemoryError):  # another version would not help
        package.run(made_by("0.1.0"), fails(MemoryError()))()


def test_one_that_this_jax_made_is_damaged(made_by):
    with pytest.raises(UserError, match=r"the model cannot be loaded \((?!.* made it)"):
        package.load_function(made_by(jax.__version__))
    with pytest.raises(ValueError, match="a mistake of ours"):
        package.run(made_by(jax.__version__), fails(ValueError("a mistake of ours")))()
