"""A server of four packages, for all tests of a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Server, serve

NAMES = ("images", "texts", "tags", "writer")


@pytest.fixture(scope="session")
def server(four_packages: list[Path]) -> Iterator[Server]:
    named = [f"{name}={folder}" for name, folder in zip(NAMES, four_packages)]
    with serve(*named, "--allow-load") as one:
        yield one
