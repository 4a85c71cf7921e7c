"""params.yaml, typed: what a stage reads of it, checked, with one clear line for a mistake."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML, YAMLError

from pipeline.config import paths
from pipeline.runtime.errors import UserError

T = TypeVar("T", bound=BaseModel)


class Section(BaseModel):
    """A mapping in params.yaml: immutable, hashable, strictly typed; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, content: Any) -> Any:
        """As extra="forbid" would have it, and says which keys there are."""
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise PydanticCustomError(
                    "unknown_key", "unknown key {key}; the keys here: {known}", {"key": key, "known": known}
                )
        return content


@dataclass(frozen=True)
class Key:
    """Where in params.yaml a field of a stage's Params is found: "datasets.{dataset}.task" or "seed"."""

    path: str


class StageParams(Section):
    """What one stage reads. Each field is annotated with its Key, and dvc.yaml lists just these keys."""

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Each field's name and its key, with the selectors still in braces."""
        return {
            name: next(extra.path for extra in field.metadata if isinstance(extra, Key))
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def load(cls, path: Path = paths.PARAMS) -> Self:
        """Reads this stage's keys. Raises UserError naming the first key that is missing or wrong."""
        content = read(path)
        names = {name: key.format(**_selectors(content)) for name, key in cls.keys().items()}
        found = {name: look_up(content, key, path) for name, key in names.items()}
        return validate(cls, found, path, names=names)


def read(path: Path = paths.PARAMS) -> dict[str, Any]:
    """The mapping in the YAML 1.2 file `path`, as DVC reads it (1e-5 is a number). Raises UserError."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        # What no file can hold is no parameter: half a character ("\\ud800"), a mapping inside itself.
        json.dumps(content, ensure_ascii=False, default=str, skipkeys=True).encode()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file in {Path.cwd().name}; run from the top of the repository") from error
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping with the keys dataset, model, seed, datasets and models")
    return content


def look_up(content: Mapping[str, Any], key: str, path: Path = paths.PARAMS) -> Any:
    """The value at the dotted `key`. Raises UserError naming the part that is missing and what there is instead."""
    value: Any = content
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(value, Mapping) or part not in value:
            there = f" (there: {', '.join(map(str, value))})" if isinstance(value, Mapping) else ""
            raise UserError(f"{path}: {'.'.join(parts[: depth + 1])} is missing{there}")
        value = value[part]
    return value


def validate(
    cls: type[T], content: Any, path: Path = paths.PARAMS, *, names: Mapping[str, str] | None = None, under: str = ""
) -> T:
    """`content` as a `cls`. Raises UserError with one line for the first wrong key.

    `names` says what a top-level field is called in the file, and `under` the key that `content` stands at.
    """
    try:
        return cls.model_validate(content)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        key, what = _mistake(content, mistakes[0], names or {})
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise UserError(f"{path}: {'.'.join(filter(None, (under, key)))}: {what}{more}") from error


def _selectors(content: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(content.get(name, "")) for name in ("dataset", "model")}


def _mistake(content: Any, mistake: Any, names: Mapping[str, str]) -> tuple[str, str]:
    """The dotted key of a mistake, and what is wrong with it and would be right."""
    key = []
    for part in mistake["loc"]:
        there = isinstance(part, int) if isinstance(content, list) else isinstance(content, Mapping) and part in content
        if there or mistake["type"] == "missing":  # else it is the tag of a union, no level of the file
            key.append(str(part) if key else names.get(str(part), str(part)))
        content = content[part] if there else content
    context = mistake.get("ctx", {})
    match mistake["type"]:
        case "missing":
            what = "is missing"
        case "unknown_key":
            key.append(str(context["key"]))
            what = f"unknown key; the keys here: {context['known']}"
        case "union_tag_invalid":
            key.append(context["discriminator"].strip("'"))
            what = f"must be one of {context['expected_tags']}, not {context['tag']!r}"
        case "union_tag_not_found":
            key.append(context["discriminator"].strip("'"))
            what = "is missing"
        case _:
            what = f"{mistake['msg'].replace('Input should', 'must')}, not {mistake['input']!r}"
    return ".".join(key), what
