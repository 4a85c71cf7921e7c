"""What a client is told when a request fails: a status, one line, never a traceback."""

from collections.abc import Mapping


class Failure(Exception):
    """The status and the line that answer a request in place of a result."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.headers = status, dict(headers or {})


class Busy(Failure):
    """The queue is full."""

    def __init__(self) -> None:
        super().__init__(503, "the server is busy: try again in a second", {"Retry-After": "1"})


class Leaving(Failure):
    """The model is being unloaded, or the server ends."""

    def __init__(self) -> None:
        super().__init__(503, "the model is being unloaded: try again in a second", {"Retry-After": "1"})
