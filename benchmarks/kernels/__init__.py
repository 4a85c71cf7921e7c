"""Layers, against what the libraries have."""
