"""Packages that an earlier version of the project wrote, as they were, each with its own runtime/."""

import zipfile
from pathlib import Path

import pytest
from imports import TOP


def extract(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(TOP / "tests/packages" / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A classifier of images of 4 x 4 pixels, of format 4."""
    return extract("format-4-images", tmp_path / "old")


@pytest.fixture
def old_numbers(tmp_path: Path) -> Path:
    """A model that estimates two numbers from a text, of format 4."""
    return extract("format-4-numbers", tmp_path / "numbers")


@pytest.fixture
def old_writer(tmp_path: Path) -> Path:
    """A language model, shrunk as `small_packages.shrink` does, of format 4."""
    return extract("format-4-writer", tmp_path / "writer")
