"""Serves packages over HTTP: the server is the runtime's."""

from pipeline.runtime.serving.command import main as main
