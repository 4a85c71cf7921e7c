"""A clean process has the libraries that it is given, and nothing else of this environment."""

import pytest

from pipeline.packaging.selftest import clean_process

TRY = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    try:
        import_module(name)
        print(name)
    except ModuleNotFoundError:
        pass
"""


@pytest.fixture
def imports(tmp_path, monkeypatch):
    """Which of these modules can be imported with these libraries."""
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "try.py").write_text(TRY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))

    def _imports(names: list[str], *libraries: str) -> list[str]:
        needed = clean_process.with_needs(libraries)
        done = clean_process.run(tmp_path / "elsewhere/try.py", *names, folder=tmp_path, libraries=needed)
        assert not done.returncode, done.stderr
        return done.stdout.split()

    return _imports


def test_it_has_the_standard_library_and_the_folder(imports):
    assert imports(["json", "mine", "numpy", "yaml", "pipeline", "pip", "try"]) == ["json", "mine"]


def test_and_the_libraries_that_are_named_with_what_they_need(imports):
    names = ["numpy", "jaxtyping", "wadler_lindig", "google.protobuf", "PIL", "flax"]
    assert imports(names, "jaxtyping", "numpy", "protobuf") == names[:4]
    assert imports(["PIL.Image", "PIL.ImageCms", "numpy"], "pillow") == ["PIL.Image", "PIL.ImageCms"]
