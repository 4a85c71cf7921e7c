"""Answers new inputs with a package: the command that each package has too, as `python -m runtime predict`."""

from pipeline.runtime.commands.predict import main

__all__ = ["main"]
