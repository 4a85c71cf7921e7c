"""What params.yaml may hold, by its typed sections: a JSON schema for editors, and the tables of docs/parameters.md."""

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.config.evaluation import EvaluationSettings
from pipeline.config.networks import NETWORKS
from pipeline.config.optimizers import SGD, Adagrad, Adam, AdamW, Constant, Cosine, Muon, Step
from pipeline.config.section import Section
from pipeline.config.training import Augmentation, Mesh, TrainingSection
from pipeline.readers import Reader
from pipeline.readers.section import DataSection
from pipeline.tasks import TASKS

PAGE = """# All settings

Made by `python -m pipeline config --page` from the code; a test compares the two. `python -m pipeline config` shows the
values in effect. A key that `params.yaml` lacks has its default; to set it for one experiment, put a plus before it:
`-S +models.cnn.training.weight_decay=0.01`.

What to change for your data: [small, large, unbalanced or noisy data](your-data.md#small-large-unbalanced-noisy). The
settings of each network, `models.NAME.network`, are in `pipeline/config/networks.py`; NAME is that of the network.
"""


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml."""
    describe(Section)
    definitions: dict[str, Any] = {}
    tasks = [_of(task.Settings, definitions, name={"const": name}) for name, task in TASKS.items()]
    kinds = dict.fromkeys(kind for task in TASKS.values() for kind in task.preprocessing.values())
    dataset = {
        "task": {"anyOf": tasks},
        "data": _of(Reader, definitions),
        "preprocessing": {"anyOf": [_of(kind, definitions) for kind in kinds]},
    }
    models = {
        name: _object({"network": _of(config, definitions, name=None), "training": _of(TrainingSection, definitions)})
        for name, config in NETWORKS.items()
    }
    top = {
        "dataset": {"type": "string", "description": "The section of `datasets` that is in use."},
        "model": {"enum": list(NETWORKS), "description": "The section of `models` that is in use."},
        "seed": {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1},
        "evaluation": _of(EvaluationSettings, definitions),
        "datasets": {"type": "object", "additionalProperties": _object(dataset)},
        "models": _object(models, required=False),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(top), "$defs": definitions}


def _object(properties: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    names = {"required": list(properties)} if required else {}
    return {"type": "object", "properties": properties, **names, "additionalProperties": False}


def _of(kind: Any, definitions: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The schema of a section; its definitions join the others. `changed` replaces properties, or removes them."""
    found = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
    definitions |= found.pop("$defs", {})
    for name, value in changed.items():
        properties = cast(dict[str, Any], found["properties"])
        properties.pop(name)
        properties |= {} if value is None else {name: value}
    return found


def page() -> str:
    """docs/parameters.md."""
    describe(Section)
    kinds = dict.fromkeys(kind for task in TASKS.values() for kind in task.preprocessing.values())
    parts = [
        PAGE,
        "## `datasets.NAME.data`\n",
        _table(DataSection),
        "The format has keys of its own: [readers](your-data.md#the-readers).\n",
    ]
    parts.append("## `datasets.NAME.preprocessing`\n")
    for kind in kinds:
        parts += [f"{kind.__doc__}\n", _table(kind)]
    parts += ["## `datasets.NAME.task`\n"]
    for name, task in TASKS.items():
        if len(task.Settings.model_fields) > 1:
            parts += [f"`name: {name}`\n", _table(task.Settings)]
    parts += ["## `evaluation`\n", _table(EvaluationSettings), "## `models.NAME.training`\n", _table(TrainingSection)]
    for title, sections in (
        ("optimizer", (SGD, Adagrad, Adam, AdamW, Muon)),
        ("schedule", (Constant, Cosine, Step)),
        ("augmentation", (Augmentation,)),
        ("mesh", (Mesh,)),
    ):
        parts.append(f"### `{title}`\n")
        for section in sections:
            name = section.model_fields.get("name")
            text = " ".join((section.__doc__ or "").split())
            parts.append(f"`name: {name.annotation.__args__[0]}`. {text}\n" if name else f"{text}\n")  # type: ignore[union-attr]
            if set(section.model_fields) - {"name"}:
                parts.append(_table(section))
    return "\n".join(parts)


def describe(section: type[Section]) -> None:
    """Makes the docstring below each field its description, in this section and its subclasses. (pydantic can do so
    when it creates a class, but reads the source then, which would slow the start of every command by a tenth.)
    """
    for ancestor in reversed([kind for kind in section.__mro__ if issubclass(kind, Section)]):
        for name, text in _texts(ancestor):
            section.model_fields[name].description = inspect.cleandoc(text)
    section.model_rebuild(force=True)
    for kind in section.__subclasses__():
        describe(kind)


def _texts(section: type[Section]) -> Iterator[tuple[str, str]]:
    """The class's own fields that have a docstring, and the docstring."""
    body = cast(ast.ClassDef, ast.parse(dedent(inspect.getsource(section))).body[0]).body
    for statement, below in pairwise(body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, text


def _table(section: type[Section]) -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in section.model_fields.items():
        if name != "name":
            text = " ".join((field.description or "").split()).replace("|", "\\|")
            rows.append(f"| `{name}` | {_default(field)} | {text} |")
    return "\n".join([*rows, ""])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Section):
        return f"`name: {value.name}`"  # type: ignore[attr-defined]
    return "" if value is None or value == {} else f"`{value if isinstance(value, str) else json.dumps(value)}`"
