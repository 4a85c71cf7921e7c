"""What a stage reads of params.yaml, typed and checked, with one clear line for a mistake."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field
from ruamel.yaml import YAML, YAMLError

from pipeline.config import paths
from pipeline.config.section import Section, validate
from pipeline.runtime.errors import UserError


@dataclass(frozen=True)
class Key:
    """Where a field of a stage's Params stands in params.yaml: "datasets.{dataset}.data" or "seed".

    With a `tag`, that selector names the kind of section: the one at models.cnn.network describes a "cnn".
    """

    path: str
    tag: str | None = None


Seed = Annotated[int, Field(ge=0, lt=1 << 32)]  # JAX uses only 32 bits of a seed


class StageParams(Section):
    """What one stage reads. Each field is annotated with its Key; dvc.yaml lists exactly these keys."""

    @classmethod
    def keys(cls) -> dict[str, Key]:
        """The key of each field, by the field's name, with the selectors still in braces."""
        return {
            name: next(extra for extra in field.metadata if isinstance(extra, Key))
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def load(cls, path: Path = paths.PARAMS) -> Self:
        """Reads this stage's keys. Raises UserError naming the first key that is missing or wrong."""
        content = read(path)
        selected = _selectors(content)
        names = {name: key.path.format(**selected) for name, key in cls.keys().items()}
        values = {name: look_up(content, key, path) for name, key in names.items()}
        for name, key in cls.keys().items():
            if key.tag:
                values[name] = tagged(values[name], selected[key.tag], names[name], path)
        return validate(cls, values, path, names=names)


def read(path: Path = paths.PARAMS) -> dict[str, Any]:
    """The mapping in the YAML 1.2 file `path`, as DVC reads it (1e-5 is a number). Raises UserError."""
    try:
        content = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file in {Path.cwd().name}; run from the top of the repository") from error
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping: dataset, model, seed, evaluation, datasets, models")
    return content


@lru_cache(maxsize=1)  # a stage asks for the same text several times
def _parse(text: str) -> Any:
    content = YAML(typ="safe").load(text)
    # Refuse what cannot be written to a file: a lone surrogate ("\\ud800"), a mapping that contains itself.
    json.dumps(content, ensure_ascii=False, default=str, skipkeys=True).encode()
    return content


def look_up(content: Mapping[str, Any], key: str, path: Path = paths.PARAMS) -> Any:
    """The value at the dotted `key`. Raises UserError naming the part that is missing and the keys that exist."""
    value: Any = content
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(value, Mapping) or part not in value:
            keys = f"; the keys here: {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
            raise UserError(f"{path}: {'.'.join(parts[: depth + 1])} is missing{keys}")
        value = value[part]
    return value


def tagged(section: Any, tag: str, key: str, path: Path = paths.PARAMS) -> Any:
    """The section at `key` with its kind, `tag`, as its name. Raises UserError where the section has a name itself."""
    if not isinstance(section, Mapping):
        return section  # validation says what is wrong with it
    if "name" in section:
        raise UserError(f"{path}: {key}.name: unknown key; the key of the section, {tag}, names the network: remove it")
    return {**section, "name": tag}


def _selectors(content: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(content.get(name, "")) for name in ("dataset", "model")}
