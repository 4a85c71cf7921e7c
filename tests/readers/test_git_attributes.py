"""git keeps the bytes of raw data, whatever they are and however git is set up; a clone matches dvc.lock."""

import shutil
from pathlib import Path

import pytest
from clone import run
from imports import TOP
from sources import write

from pipeline.runtime.hashes import sha256

DATA: dict[str, bytes | str] = {
    "data/raw/mine/rows.csv": "text,label\r\ngood,yes\r\n",
    "data/raw/mine/notes.txt": "one\r\ntwo\nthree\r\n",
    "data/raw/mine/wide.txt": "one\r\ntwo\r\n".encode("utf-16"),
    "data/raw/rows.csv": "text,label\r\ngood,yes\r\n",
    "data/raw/mine/deep/rows.tsv": "text\tlabel\ngood\tyes\n",
}


@pytest.mark.parametrize("autocrlf", ["false", "true", "input"])
def test_a_clone_has_the_same_raw_data(tmp_path, autocrlf):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    write(origin, DATA)
    shutil.copy(TOP / ".gitattributes", origin)
    setting = f"git -c core.autocrlf={autocrlf} -c core.safecrlf=false"
    run(f"git init -q && {setting} add -A && git commit -q -m data", origin)
    run(f"{setting} clone -q origin clone", tmp_path)
    for name in DATA:
        assert sha256(clone / name) == sha256(origin / name), name


def test_code_has_line_feeds_in_every_clone(tmp_path):
    write(tmp_path / "origin", {"pipeline/a.py": "a = 1\r\n"})
    shutil.copy(TOP / ".gitattributes", tmp_path / "origin")
    run("git init -q && git -c core.safecrlf=false add -A && git commit -q -m code", tmp_path / "origin")
    run("git -c core.autocrlf=true clone -q origin clone", tmp_path)
    assert Path(tmp_path / "clone/pipeline/a.py").read_bytes() == b"a = 1\n"
