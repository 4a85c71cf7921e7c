"""Writes a section into params.yaml, in the form in which DVC writes it, and leaves every other line as it is."""

import io
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.runtime.errors import UserError

DATASETS = re.compile(r"datasets:[ ]*(\{\})?[ ]*(#.*)?")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # DVC takes a dot for a level
ENDS = re.compile(r"\.(csv|tsv|jsonl|ndjson|parquet|txt|conll|conllu|zip|tar|tgz|gz|bz2|xz)$", re.IGNORECASE)
NOTHING_SAID = {"train", "data", "dataset", "all", "full"}  # names of files that say nothing of what they hold


def name_for(source: Path) -> str:
    """A section's name for a source: that of its file, or of its folder where that says nothing."""
    stem = source.name
    while ENDS.search(stem):
        stem = ENDS.sub("", stem)
    if stem.lower() in NOTHING_SAID and source.parent != paths.RAW:
        stem = source.parent.name
    ascii_name = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "-", ascii_name).strip("-") or "data"
    return name if _is_text(name) else f"data-{name}"


def check_name(name: str, path: Path = paths.PARAMS) -> None:
    """Raises UserError where a section cannot be called so."""
    if not NAME.fullmatch(name) or not _is_text(name):
        raise UserError(f"--name {name}: must consist of a-z, 0-9 and single hyphens, and be no number")
    datasets = yaml.look_up(yaml.read(path), "datasets", path)
    if name in (datasets or {}):
        raise UserError(f"{path}: datasets.{name} exists already: choose another name with --name")


def _is_text(name: str) -> bool:
    """Whether YAML reads the name as text, not as a number or a truth value."""
    return isinstance(YAML(typ="safe").load(name), str)


def render(name: str, content: Mapping[str, Any], indent: int = 2) -> str:
    """The section as it stands in the file, indented."""
    out = io.StringIO()
    dumper = YAML()  # DVC's settings: dvc.utils.serialize
    dumper.default_flow_style = False
    dumper.dump({"datasets": {name: content}}, out)
    lines = out.getvalue().splitlines()[1:]
    return "".join(f"{' ' * (indent - 2)}{line}\n" for line in lines)


def write(name: str, content: Mapping[str, Any], path: Path = paths.PARAMS) -> None:
    """Adds the section as the last of `datasets`. Raises UserError where the file has a form of its own."""
    text = path.read_text(encoding="utf-8")
    added = insert(text, name, content)
    before, after = (YAML(typ="safe").load(one) for one in (text, added))
    if after != before | {"datasets": {**(before["datasets"] or {}), name: content}}:
        raise UserError(f"{path}: datasets is written in a form that cannot be added to: add the section by hand")
    new = path.with_name(f"{path.name}.new")
    new.write_text(added, encoding="utf-8", newline="\n")
    new.replace(path)


def insert(text: str, name: str, content: Mapping[str, Any]) -> str:
    """The file's text with the section after the last line of `datasets`."""
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if DATASETS.fullmatch(line.rstrip("\r\n"))), None)
    if start is None:
        raise UserError(f"{paths.PARAMS}: has no line `datasets:`: add the section by hand")
    after = range(start + 1, len(lines))
    end = next((i for i in after if lines[i].strip() and lines[i][0] not in " #\r\n"), len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1  # blank lines and comments before the next key belong to it
    inside = [line for line in lines[start + 1 : end] if line.strip() and not line.lstrip().startswith("#")]
    indent = len(inside[0]) - len(inside[0].lstrip()) if inside else 2
    lines[start] = lines[start].replace(" {}", "")
    if end and not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    gap = "\n" if inside else ""
    return "".join([*lines[:end], gap, render(name, content, indent), *lines[end:]])
