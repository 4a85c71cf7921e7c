"""Checkpoints: written aside, sealed, found again."""
