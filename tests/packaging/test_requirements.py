"""A package's requirements are pins of the repository's, of what its runtime imports and of all that this needs."""

import re
from importlib.metadata import packages_distributions

import pytest
from imports import TOP, third_party

from pipeline.packaging import requirements
from pipeline.runtime.errors import UserError

EVERYTHING = {
    *requirements.ALWAYS,
    *requirements.SERVER,
    *sum(requirements.KINDS.values(), ()),
    *sum(requirements.ENGINES.values(), ()),
}
OPTIONAL = {"pyarrow"}  # a table in Parquet is read where it is installed


def test_they_name_what_the_runtime_imports():
    files = {path.relative_to(TOP).as_posix() for path in (TOP / "pipeline/runtime").rglob("*.py")}
    imported = third_party(files, frozenset()) - {"jaxlib"}
    names = {requirements.normalised(packages_distributions()[name][0]) for name in imported}
    assert names - OPTIONAL <= EVERYTHING


@pytest.mark.parametrize("kind", requirements.KINDS)
@pytest.mark.parametrize("engine", requirements.ENGINES)
def test_they_are_pinned_as_they_are_here(tmp_path, kind, engine):
    path, pinned = tmp_path / "requirements.txt", (TOP / "requirements.txt").read_text()
    requirements.write(path, requirements.names(kind, engine))
    text = path.read_text()
    assert all(f"{pin.text}\n" in pinned for pin in requirements.read(path))
    assert "".join(f"{pin.text}\n" for pin in requirements.read(path)) == text
    assert not re.search("(?m)^-|://", text)
    found = {pin.name for pin in requirements.read(path)}
    assert set(requirements.names(kind, engine)) <= found
    assert not found & {"flax", "optax", "pandas", "pyarrow", "dvc", "onnx"}
    assert ("jaxlib" in found) == (engine == "jax")


def test_every_pin_of_the_repository_is_read():
    text = (TOP / "requirements.txt").read_text()
    assert "".join(f"{pin.text}\n" for pin in requirements.read(requirements.PINNED)) == text


def test_conditions_stay():
    """One of these is not needed on this machine, whichever it is."""
    numpy = [pin for pin in requirements.closure(["numpy"]) if pin.name == "numpy"]
    assert sorted(pin.marker or "" for pin in numpy) == [
        "python_full_version < '3.12'",
        "python_full_version >= '3.12'",
    ]
    assert all(len(pin.hashes) > 10 for pin in numpy)
    assert "colorama" in {pin.name for pin in requirements.closure(["tqdm"])}  # on Windows


def test_extras_are_followed_where_they_are_asked_for(monkeypatch):
    wanted = {
        "a": ["B_b[fast] >=1; python_version < '4'", 'never; extra == "docs"'],
        "b-b": ['c ; extra == "fast"', "d; extra == 'slow'"],
    }
    monkeypatch.setattr(requirements, "requires", lambda name: wanted.get(name))
    assert requirements.needs(["a"]) == {"a": {"b-b"}, "b-b": {"c"}, "c": set()}


def test_a_library_without_a_pin_is_named():
    with pytest.raises(UserError, match=r"requirements\.txt: does not pin no-such-library"):
        requirements.closure(["numpy", "No_such.library"])
