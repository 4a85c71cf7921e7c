"""A section of params.yaml as a typed, immutable object, and one clear line for the first mistake in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pipeline.config import paths
from pipeline.runtime.errors import UserError

T = TypeVar("T", bound=BaseModel)


class Section(BaseModel):
    """A mapping in params.yaml: immutable, hashable, strictly typed; an unknown key is an error."""

    # The text below a field describes it, in params.schema.json and in docs/parameters.md (commands/schema.py).
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, content: Any) -> Any:
        """Does what extra="forbid" does, and lists the keys that exist; `name` only where it has no default."""
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                known = ", ".join(n for n, field in cls.model_fields.items() if n != "name" or field.is_required())
                raise PydanticCustomError(
                    "unknown_key", "unknown key {key}; the keys here: {known}", {"key": key, "known": known or "none"}
                )
        return content


def validate(
    cls: type[T], content: Any, path: Path = paths.PARAMS, *, names: Mapping[str, str] | None = None, under: str = ""
) -> T:
    """`content` as a `cls`. Raises UserError with one line for the first wrong key.

    `names` maps a top-level field to its key in the file; `under` is the key at which `content` stands.
    """
    try:
        return cls.model_validate(content)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        key, what = _mistake(content, mistakes[0], names or {})
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise UserError(f"{path}: {'.'.join(filter(None, (under, key)))}: {what}{more}") from error


def _mistake(content: Any, mistake: Any, names: Mapping[str, str]) -> tuple[str, str]:
    """The dotted key of pydantic's `mistake`, and what is wrong there and what would be right."""
    key = []
    for depth, part in enumerate(mistake["loc"], start=1):
        exists = (
            isinstance(part, int) if isinstance(content, list) else isinstance(content, Mapping) and part in content
        )
        is_missing = mistake["type"] == "missing" and depth == len(mistake["loc"])
        if exists or is_missing:  # otherwise it is the tag of a union, which is no level of the file
            key.append(str(part) if key else names.get(str(part), str(part)))
        content = content[part] if exists else content
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
        case _ if mistake["input"] is None and mistake["type"] in ("dict_type", "model_type", "model_attributes_type"):
            what = "has no value: write {} to take the defaults"
        case _:
            given = "" if isinstance(mistake["input"], Mapping) else f", not {mistake['input']!r}"
            what = f"{mistake['msg'].replace('Input should', 'must')}{given}"
    return ".".join(key), what
