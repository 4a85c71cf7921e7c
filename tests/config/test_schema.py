"""What is told of params.yaml's settings is what the code takes: schema, page, values in effect."""

import json
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from imports import TOP
from ruamel.yaml import YAML

from pipeline.commands import config, schema
from pipeline.runtime.errors import UserError
from pipeline.stages import check

PARAMS = YAML(typ="safe").load((TOP / "params.yaml").read_text())


def test_the_committed_schema_is_current():
    """If not: python -m pipeline config --schema > params.schema.json."""
    assert json.loads((TOP / "params.schema.json").read_text()) == schema.schema()


def test_the_committed_page_is_current():
    """If not: python -m pipeline config --page > docs/parameters.md."""
    assert (TOP / "docs/parameters.md").read_text() == schema.page()


def test_every_setting_is_explained():
    rows = [line for line in schema.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert not [row for row in rows if row.endswith("|  |")]


def changed(*keys: str, value: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(PARAMS))
    section = content
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return content


@pytest.mark.parametrize(
    ("keys", "value", "right"),
    [
        (("seed",), 0, True),
        (("seed",), -1, False),
        (("datasets", "spam", "data", "colour"), "red", False),
        (("datasets", "spam", "task", "class_weights"), "even", False),
        (("datasets", "spam", "data", "labels"), "genres", True),
        (("models", "cnn", "training", "epochs"), "auto", True),
        (("models", "cnn", "training", "epochs"), "many", False),
        (("models", "cnn", "network", "name"), "cnn", False),
        (("models", "vgg"), {}, False),
    ],
)
def test_the_schema_says_what_an_editor_should_underline(keys, value, right):
    assert jsonschema.Draft202012Validator(schema.schema()).is_valid(changed(*keys, value=value)) == right


def test_the_values_in_effect_are_a_params_file_of_their_own(tmp_path, monkeypatch, capsys):
    """With every default written out, it means the same."""
    monkeypatch.setattr(sys, "argv", ["config"])
    with chdir(TOP):
        config.main()
        _, dataset, model = check.params()
    (tmp_path / "params.yaml").write_text(capsys.readouterr().out)
    _, same_dataset, same_model = check.params(tmp_path / "params.yaml")
    assert (same_dataset, same_model) == (dataset, model)
    assert "nesterov" not in (tmp_path / "params.yaml").read_text()


def test_what_is_wrong_is_said_before_anything_is_shown(tmp_path: Path, monkeypatch):
    (tmp_path / "params.yaml").write_text((TOP / "params.yaml").read_text().replace("kernel: 3", "kernel: 0"))
    monkeypatch.setattr(sys, "argv", ["config"])
    with chdir(tmp_path), pytest.raises(UserError, match=r"models\.cnn\.network\.kernel: must be greater than 0"):
        config.main()
