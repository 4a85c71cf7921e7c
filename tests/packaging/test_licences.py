"""What lies beside the data and names its licence comes along; what does not, does not."""

from pathlib import Path

import pytest

from pipeline.readers import licences

RAW = Path("data/raw")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = RAW / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", ["LICENSE", "Licence.txt", "LICENSE-2.0", "COPYING.LESSER", "NOTICE", "licenses.md"])
def test_a_file_of_that_name_is_a_note(name):
    write({f"mine/{name}": "MIT", "mine/README.md": "the licence is in the other file", "mine/noticed.csv": "a,b"})
    assert licences.read(RAW / "mine") == {name: "MIT"}


@pytest.mark.parametrize("source", ["mine/rows.csv", "mine/pictures", "mine/pictures/train"])
def test_it_may_lie_beside_the_source_or_above_it(source):
    write({"mine/LICENSE": "MIT", "mine/rows.csv": "a", "mine/pictures/train/a.png": b"", "LICENSE": "of all"})
    assert licences.read(RAW / source) == {"LICENSE": "MIT"}


def test_a_readme_that_names_the_licence_is_one_where_nothing_else_is():
    write({"mine/README.md": "# Mine\n\n**Licence.** MIT", "other/README": "Pictures of cats."})
    assert licences.read(RAW / "mine") == {"README.md": "# Mine\n\n**Licence.** MIT"}
    assert licences.read(RAW / "other") == {}


def test_that_of_other_sources_is_not():
    write({"LICENSE": "of all", "mine/rows.csv": "a", "rows.csv": "a"})
    assert licences.read(RAW / "mine") == {}
    assert licences.read(RAW / "rows.csv") == {"LICENSE": "of all"}


def test_data_of_such_a_name_is_left(monkeypatch):
    monkeypatch.setattr(licences, "LARGEST", 10)
    write({"mine/notice.csv": "a,b\n" * 100})
    assert licences.read(RAW / "mine") == {}


def test_any_encoding_is_read():
    write({"mine/LICENSE": "\u00a9 Zo\u00eb".encode("cp1252"), "mine/NOTICE": "\ufeff\u00a9".encode()})
    assert licences.read(RAW / "mine") == {"LICENSE": "\u00a9 Zo\u00eb", "NOTICE": "\u00a9"}
