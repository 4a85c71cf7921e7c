"""Responses in JSON, by a library that is ten times as fast as Python's own: a tenth of a small request's time."""

from typing import Any

import orjson
from starlette.responses import Response


class Json(Response):
    """Numbers that JSON does not have, such as an infinite one, become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
