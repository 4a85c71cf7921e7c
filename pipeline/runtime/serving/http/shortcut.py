"""Requests to some routes that arrive whole are answered past ASGI, whose layers cost more than most models do."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Scope

from .guard import Guard


class Shortcut:
    """The routes, whose endpoints take a request and return a response that is no stream."""

    def __init__(self, routes: Sequence[Route], guard: Guard) -> None:
        self._routes, self._guard = routes, guard

    def serves(self, scope: Scope) -> bool:
        """Whether one of the routes does. It is noted in the scope."""
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found, route=route)
                return True
        return False

    async def respond(self, scope: Scope, body: bytes) -> Response:
        """The response to a request that it serves, whatever happens."""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        return await self._guard.answer(Request(scope, receive), len(body), scope["route"].endpoint)
