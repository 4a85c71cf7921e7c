"""The same work by other software, as its users would write it. Each runs in an environment of its own: see
requirements.txt here."""
